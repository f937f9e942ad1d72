"""What ``daftt task new`` asks about a file of examples; a wrong answer is asked for again."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from daftt_core.errors import ConfigError, DafttError, DataError, did_you_mean
from daftt_core.tasks import MOST_ID_CHARACTERS, Task, propose_columns, propose_kind, spoken
from daftt_core.words import is_character, words_of

__all__ = ["KINDS", "ask_fields"]

KINDS: tuple[str, ...] = get_args(Task.model_fields["kind"].annotation)
_WORD = re.compile(r"[^\W\d_]{2}")

_Table = Mapping[str, Sequence[str]]
_Check = Callable[[str], str]
"""Gives an answer back, or raises a DafttError that says what is wrong with it."""


class _Questions:
    """Gets answers: those given as options, else a person's, or with ``yes`` what is proposed."""

    def __init__(self, given: Mapping[str, Any], *, yes: bool) -> None:
        self._given, self._yes = given, yes

    def ask(self, name: str, question: str, proposed: str, check: _Check) -> str:
        if self._given.get(name) is not None:
            return check(str(self._given[name]))
        return check(proposed) if self._yes else _prompt(question, proposed, check)


def ask_fields(
    file: Path,
    table: _Table,
    words: Mapping[str, str],
    given: Mapping[str, Any],
    *,
    yes: bool,
) -> dict[str, Any]:
    """The fields of a task's file.

    Args:
        file: Where it will be; its name becomes the task's id.
        table: The examples, by column.
        words: What values of the output column are called.
        given: Answers by name; None is asked for.
        yes: Take what is proposed instead of asking.

    Raises:
        ConfigError: An answer that was given is wrong.
        DataError: Likewise; or the examples do not make a task.
    """
    questions = _Questions(given, yes=yes)
    columns = _columns(table, questions)
    outputs = [value.strip() for value in table[columns["output"]] if value.strip()]
    if len(set(outputs)) < 2:
        held = f"{outputs[0]!r} in every row" if outputs else "nothing"
        raise DataError(f"the column {columns['output']!r} holds {held}; there is nothing to learn")
    kind = questions.ask("kind", f"Kind: {' or '.join(KINDS)}", propose_kind(outputs), _check_kind)
    fields: dict[str, Any] = {"id": _slug(file.stem), "kind": kind, "columns": columns}
    if kind == "classification":
        asked = "" if yes else "What does the label {!r} mean, in a word or two?"
        fields["labels"] = _labels(outputs, words, asked)
        called = ", ".join(f'"{label["verbalizer"]}"' for label in fields["labels"])
        answer, write = f"Read this text and answer with one of {called}.", "this answer"
    elif words:
        raise ConfigError("--label: a text2text task has no labels")
    else:
        answer, write = "Read this text and write the answer to it.", "an answer"
    for name, question, proposed in (
        ("description", "The task in one sentence", answer),
        ("definition", "Instruction for answering an input", answer),
        ("writing_definition", "Instruction for writing an input", f"Write a text with {write}."),
    ):
        fields[name] = questions.ask(name, question, proposed, _check_text)
    return fields


def _columns(table: _Table, questions: _Questions) -> dict[str, str]:
    columns: dict[str, str] = {}

    def check(chosen: str) -> str:
        if chosen not in table:
            known = ", ".join(map(repr, table))
            hint = did_you_mean(chosen, table)
            raise DataError(f"there is no column {chosen!r}{hint} (columns found: {known})")
        if chosen in columns.values():
            raise DataError(f"the column {chosen!r} serves as another one already")
        return chosen

    def check_if_any(chosen: str) -> str:
        return chosen and check(chosen)

    proposed = propose_columns(table)
    columns["text"] = questions.ask("text", "Column of the input", proposed.text, check)
    second = proposed.text_pair or ""
    pair = questions.ask("text_pair", "Column of a second input, if any", second, check_if_any)
    if pair:
        columns["text_pair"] = pair
    what = "Column of the label or text to be given"
    columns["output"] = questions.ask("output", what, proposed.output, check)
    return columns


def _check_kind(chosen: str) -> str:
    if chosen not in KINDS:
        hint = did_you_mean(chosen, KINDS)
        raise ConfigError(f"the kind must be {' or '.join(KINDS)}, not {chosen!r}{hint}")
    return chosen


def _check_text(text: str) -> str:
    if not text.strip():
        raise ConfigError("must hold more than white space")
    return text


def _labels(
    outputs: Sequence[str], words: Mapping[str, str], question: str
) -> list[dict[str, Any]]:
    """The labels that these outputs are; spellings that an answer could not tell apart are one."""
    counts = Counter(outputs)
    if unknown := [value for value in words if value not in counts]:
        hint = did_you_mean(unknown[0], counts)
        raise DataError(f"--label: the output column does not hold {unknown[0]!r}{hint}")
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for value in sorted(counts, key=lambda value: (-counts[value], value)):
        alike[spoken(value.replace("_", " "))].append(value)
    labels: list[dict[str, Any]] = []

    def meaning(called: str) -> str:
        if not spoken(called):
            raise DataError("a label's meaning must hold a letter or a digit")
        if any(spoken(called) == spoken(label["verbalizer"]) for label in labels):
            raise DataError(f"{called!r} is another label's meaning already")
        return called

    for spellings in sorted(alike.values()):
        called = next((words[one] for one in spellings if one in words), None)
        if called is None:
            called = spellings[0].replace("_", " ")
            if question and not _says_something(called):
                called = _prompt(question.format(spellings[0]), called, meaning)
        others = [one for one in spellings if one != called]
        aliases = {"aliases": others} if others else {}
        labels.append({"name": called, "verbalizer": called, **aliases})
    return labels


def _says_something(label: str) -> bool:
    """Whether a label is more than a number or a code."""
    return bool(_WORD.search(label)) or any(map(is_character, words_of(label)))


def _prompt(question: str, proposed: str, check: _Check) -> str:
    """Ask until the answer is right."""
    from daftt_core.reporting.escape import visible  # loads what the report is drawn with

    def read(answer: str) -> str:
        try:
            return check(answer.strip())
        except DafttError as error:
            raise click.UsageError(visible(str(error))) from None

    # shown by itself, as what is proposed comes from a file
    shown = visible(f"{question} [{proposed}]")
    return str(click.prompt(shown, default=proposed, show_default=False, value_proc=read))


def _slug(text: str) -> str:
    letters = (c if c.isascii() and c.isalnum() else "-" for c in text.casefold())
    parts = "-".join(part for part in "".join(letters).split("-") if part)
    return parts[:MOST_ID_CHARACTERS].rstrip("-") or "task"
