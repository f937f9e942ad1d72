"""Every regular expression of the product, and what is built on them, ends on hostile text.

The patterns are collected from the modules, so a new one is tested without anybody adding it here.
There is no clock: a pattern that takes time in the square of 100,000 characters runs into pytest's
timeout, which names it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from daftt_core.curation.detectors import find_personal_data, foreign_language, redact
from daftt_core.curation.duplicates import similarity
from daftt_core.records import Example, content_id, normalize
from daftt_core.records.fingerprints import Fingerprint, Heldout
from daftt_core.records.text import visible
from daftt_core.records.words import bare, words_of
from daftt_core.synthesis.screening import find_problem
from daftt_core.tasks import Form, load_task, parse_answer, parse_input

ROOTS = ("components", "daftt_core", "pipelines")
METHODS = ("findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn")
CHARACTERS = 100_000
UNITS = (
    *("a", "A", "1", "_", "-", ".", "@", "<", "[", "{", "/", "|", ":", "(", "=", "\\", "`", " "),
    *(
        "\n",
        "\t",
        "\r\n",
        " \n",
        "a ",
        "1 ",
        "1.",
        "1-",
        "+1",
        "a.",
        "a@",
        "-a",
        "ab:",
        "</",
        "1 /",
    ),
    *("\u0301", "e\u0301", "\u4e2d", "\u0e01\u0e47", "\u200b", "\u00a0", "\u0661", "\udc80"),
    *("a@b.co ", "4111 1111 1111 1111 ", "+1 202 555 0123 ", "Output:\n", "QUFB", "input "),
)
"""What is written again and again; each text has something else at its end."""


class Use(NamedTuple):
    place: str
    pattern: re.Pattern[str]
    method: str


def hostile_texts() -> Iterator[str]:
    for unit in UNITS:
        yield (unit * CHARACTERS)[:CHARACTERS] + "\0 me@x.org"


def sources() -> Iterator[tuple[str, ast.Module]]:
    """The modules that use regular expressions."""
    for root in ROOTS:
        paths = importlib.import_module(root).__path__
        for found in pkgutil.walk_packages(paths, f"{root}."):
            spec = importlib.util.find_spec(found.name)
            assert spec is not None
            assert spec.origin is not None
            source = Path(spec.origin).read_text(encoding="utf-8")
            if re.search(r"^ *(import|from) re\b", source, re.M):
                yield found.name, ast.parse(source)


def uses() -> list[Use]:
    """Every pattern with the methods by which it is used; with all, where that is not seen."""
    places: dict[re.Pattern[str], tuple[str, str]] = {}
    called: defaultdict[str, set[str]] = defaultdict(set)
    found = []
    for name, source in sources():
        for attribute, value in vars(importlib.import_module(name)).items():
            for pattern in patterns_in(value):
                places.setdefault(pattern, (name, attribute))
        for node in ast.walk(source):
            function = node.func if isinstance(node, ast.Call) else node
            if not isinstance(function, ast.Attribute) or function.attr not in METHODS:
                continue
            owner, method = function.value, function.attr
            if not (isinstance(owner, ast.Name) and owner.id == "re"):
                called[getattr(owner, "id", getattr(owner, "attr", ""))].add(method)
            elif isinstance(node, ast.Call):
                pattern = re.compile(written(name, node.args[0]))
                found.append(Use(f"{name}, line {node.lineno}", pattern, method))
    for pattern, (name, attribute) in places.items():
        for method in sorted(called.get(attribute, METHODS)):
            found.append(Use(f"{name}.{attribute}", pattern, method))
    return found


def patterns_in(value: object) -> Iterator[re.Pattern[str]]:
    """A module's attribute if it is a pattern; those it holds; those of a class of ours."""
    several: Any = [value]
    if isinstance(value, list | tuple | set | frozenset):
        several = value
    elif isinstance(value, dict):
        several = value.values()
    elif isinstance(value, type) and value.__module__.startswith(ROOTS):
        several = vars(value).values()
    for each in several:
        if isinstance(each, re.Pattern) and isinstance(each.pattern, str):
            yield each


def written(name: str, node: ast.expr) -> str:
    """A pattern as it is in the source; where a part of it is put in, with two letters there."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        values = [part.value if isinstance(part, ast.Constant) else "ab" for part in node.values]
        return "".join(map(str, values))
    raise AssertionError(
        f"{name}, line {node.lineno}: write the pattern there or compile it at the top of the "
        "module, so that it can be tested"
    )


def test_every_pattern_ends_on_hostile_text_by_each_method_that_is_used() -> None:
    found = uses()
    names = {use.place.rsplit(".", 1)[-1] for use in found}
    assert {"FIELD_NAME", "_EMAIL", "_NO_TEXT", "_WORD", "PILED_UP_MARKS"} <= names
    assert any("daftt_core.jobs.requests, line" in use.place for use in found)
    for use in found:
        method = getattr(use.pattern, use.method)
        for text in hostile_texts():
            result = method("x", text) if use.method.startswith("sub") else method(text)
            for _ in result if use.method == "finditer" else ():
                continue


def check_overlap(text: str) -> object:
    heldout = Heldout([Fingerprint.of(Example.of(text)), Fingerprint.of(Example.of("a b c"))], 8)
    return heldout.collides(text[1:]), heldout.collides(f"{text} and more")


TASK = load_task("movie-reviews")

FUNCTIONS: dict[str, Callable[[str], object]] = {
    "personal data": lambda text: redact(text, find_personal_data(text, "US")),
    "prompt": lambda text: [
        (parse_answer(TASK, text, form), parse_input(TASK, text, form))
        for form in (Form(), Form(lines=True))
    ],
    "screening": lambda text: find_problem(Example.of(text)),
    "normalize": lambda text: (normalize(text), content_id(text, text)),
    "words": lambda text: (words_of(text), bare(text)),
    "near duplicates": lambda text: similarity(Example.of(text), Example.of(text[1:])),
    "language": lambda text: foreign_language(text, "en"),
    "report": visible,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_reads_texts_ends_on_hostile_ones(name: str) -> None:
    for text in hostile_texts():
        FUNCTIONS[name](text.replace("\udc80", "\ufffd"))  # no reader lets half a pair through


@pytest.mark.parametrize("unit", ["a ", "\u4e2d", "ab1 ", "\u0e01\u0e47"])
def test_overlap_ends_on_a_long_text_that_is_held_out_too(unit: str) -> None:
    check_overlap((unit * CHARACTERS)[: CHARACTERS // 4])
