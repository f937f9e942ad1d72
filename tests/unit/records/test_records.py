"""Ids, seeds and JSON lines."""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daftt_core.errors import DataError
from daftt_core.records import (
    Example,
    SyntheticExample,
    content_id,
    digest,
    normalize,
    read_jsonl,
    seed_for,
    write_jsonl,
)

text = st.text(st.characters(exclude_categories=["Cs"]))


@given(text)
def test_normalizing_twice_changes_nothing(one: str) -> None:
    assert normalize(normalize(one)) == normalize(one)


@given(text, st.sampled_from([" ", "\n", "\t ", "\u00a0", "\u3000"]))
def test_white_space_around_or_doubled_does_not_change_an_id(one: str, space: str) -> None:
    assert content_id(space + one.replace(" ", " " + space) + space) == content_id(one)


@given(text)
def test_composed_and_decomposed_characters_have_one_id(one: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, one) for form in ("NFC", "NFD"))
    assert content_id(composed) == content_id(decomposed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A Fine Film", "a  fine\nfilm"),
        ("STRASSE", "straße"),
        ("caf\u00e9", "cafe\u0301"),
        ("\uff26ilm", "Film"),
    ],
)
def test_the_same_text_in_another_spelling_has_the_same_id(one: str, other: str) -> None:
    assert content_id(one) == content_id(other)


def test_different_inputs_have_different_ids() -> None:
    inputs = [("a", None), ("a", ""), ("a", "b"), ("b", "a"), ("a b", None), ("ab", None)]
    assert len({content_id(*one) for one in inputs}) == len(inputs)


def test_an_id_stays_the_same_for_ever() -> None:
    expected = hashlib.sha256(b'"a film"\0null\0').hexdigest()[:16]
    assert content_id("A film") == expected == Example.of("a  FILM").id


def test_digest_does_not_depend_on_the_order_of_keys_but_on_that_of_parts() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest("a", "b") != digest("b", "a")
    assert digest("ab") != digest("a", "b")
    assert len(digest("a", length=40)) == 40


@given(st.integers(0, 2**31), st.text(max_size=5), st.text(max_size=5))
def test_seeds_fit_into_63_bits_and_repeat(seed: int, purpose: str, example_id: str) -> None:
    purpose, example_id = ascii(purpose), ascii(example_id)
    value = seed_for(seed, purpose, example_id)
    assert 0 <= value < 2**63
    assert value == seed_for(seed, purpose, example_id)


def test_seeds_differ_by_run_purpose_and_example() -> None:
    seeds = {
        seed_for(seed, purpose, example)
        for seed in range(10)
        for purpose in ("split", "sample")
        for example in "abcde"
    }
    assert len(seeds) == 100


@given(
    st.lists(
        st.builds(Example.of, text, st.none() | text, st.none() | text),
        max_size=5,
    )
)
def test_what_is_written_is_read_again(tmp_path_factory: object, examples: list[Example]) -> None:
    path = Path(tmp_path_factory.mktemp("jsonl")) / "some.jsonl"  # type: ignore[attr-defined]
    assert write_jsonl(path, examples) == len(examples)
    assert read_jsonl(path, Example) == examples


def test_a_synthetic_example_is_read_as_what_it_is(tmp_path: Path) -> None:
    one = SyntheticExample(
        id=content_id("a"), text="a", source="generated", asked="x", distribution={"x": 0.5}
    )
    write_jsonl(tmp_path / "a.jsonl", [one])
    assert read_jsonl(tmp_path / "a.jsonl", SyntheticExample) == [one]
    with pytest.raises(DataError, match=r"a\.jsonl, line 1: source: there is no such field"):
        read_jsonl(tmp_path / "a.jsonl", Example)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"id": "b", "text": ', "EOF"),
        (b'{"id": "b"}', "text: is missing"),
        (b'{"id": "b", "text": 7}', "text: 7 is not text"),
        (b'{"id": "b", "text": "\xff"}', "unicode"),
        (b"", "EOF"),
    ],
)
def test_a_broken_line_is_named_with_its_file(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "some.jsonl"
    good = json.dumps({"id": "a", "text": "a"}).encode()
    path.write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    with pytest.raises(DataError, match=rf"some\.jsonl, line 2: .*{problem}"):
        read_jsonl(path, Example)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: there is no such file"):
        read_jsonl(tmp_path / "none.jsonl", Example)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    write_jsonl(path, [Example.of("old")])

    def records() -> object:
        yield Example.of("new")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_jsonl(path, records())  # type: ignore[arg-type]
    assert [one.text for one in read_jsonl(path, Example)] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["some.jsonl"]


def test_a_letter_with_many_marks_is_normalized_in_no_time() -> None:
    few = "e" + "\u0301\u0316" * 14
    assert normalize(few) == unicodedata.normalize("NFKC", few).casefold()
    many = "e" + "\u0301\u0316" * 50_000
    started = time.process_time()
    assert normalize(many) == normalize(normalize(many))
    assert time.process_time() - started < 2
