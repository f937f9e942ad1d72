"""Recognizing held-out examples by their fingerprints."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daftt_core.errors import DataError
from daftt_core.heldout import Fingerprint, Heldout, write_fingerprints
from daftt_core.records import Example, content_id

LONG = Example.of("One of the best and most moving films of this long and dusty summer.")
SHORT = Example.of("Too slow.")
PAIR = Example.of("The cat sat on the mat.", "Some animal was on a small carpet today.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_fingerprints(tmp_path / "heldout.json", [LONG, SHORT, PAIR])
    return tmp_path / "heldout.json"


def test_the_same_input_is_found_in_any_spelling(path: Path) -> None:
    heldout = Heldout.load(path, words=5)
    assert len(heldout) == 3
    assert heldout.collides(" TOO  slow.") == SHORT.id == content_id("too slow.")
    assert heldout.collides(PAIR.text, PAIR.text_pair) == PAIR.id


@pytest.mark.parametrize(("words", "found"), [(4, True), (5, True), (6, False)])
def test_a_shared_run_of_words_counts_from_the_asked_length(
    path: Path, words: int, found: bool
) -> None:
    text = "It is the BEST -- and most; moving story."
    assert Heldout.load(path, words).collides(text) == (LONG.id if found else None)


def test_the_same_words_in_another_order_are_no_overlap(path: Path) -> None:
    words = LONG.text.rstrip(".").split()
    assert Heldout.load(path, words=3).collides(" ".join(reversed(words))) is None


def test_a_text_shorter_than_the_run_is_found_only_as_a_whole(path: Path) -> None:
    heldout = Heldout.load(path, words=5)
    assert heldout.collides("Far too slow.") is None
    assert heldout.collides("Too slow.") == SHORT.id


def test_both_texts_of_a_pair_count_but_not_across_their_border(path: Path) -> None:
    heldout = Heldout.load(path, words=5)
    assert heldout.collides("No.", "I know that some animal was on a roof.") == PAIR.id
    assert heldout.collides("Sat on the mat. Some animal was") is None
    assert heldout.collides("sat on the mat", "some animal was") is None


def test_no_text_is_written(path: Path) -> None:
    content = path.read_text().casefold()
    assert not any(word in content for word in ("moving", "dusty", "carpet", "slow"))


def test_the_file_does_not_depend_on_the_order_of_examples(path: Path, tmp_path: Path) -> None:
    write_fingerprints(tmp_path / "other.json", [PAIR, SHORT, LONG])
    assert (tmp_path / "other.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"examples": [{"id": 1}]}', b"\xff"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "heldout.json").write_bytes(content)
    with pytest.raises(DataError, match=r"heldout\.json: does not hold the fingerprints"):
        Heldout.load(tmp_path / "heldout.json", words=5)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: cannot be read: No such file"):
        Heldout.load(tmp_path / "none.json", words=5)


word = st.sampled_from(["a", "b", "c"])


@given(st.lists(word, max_size=12), st.lists(word, max_size=12), st.integers(1, 5))
def test_overlap_is_what_comparing_the_words_finds(
    held: list[str], new: list[str], words: int
) -> None:
    runs = {tuple(held[i : i + words]) for i in range(len(held) - words + 1)}
    expected = held == new or any(
        tuple(new[i : i + words]) in runs for i in range(len(new) - words + 1)
    )
    heldout = Heldout([Fingerprint.of(Example.of(" ".join(held)))], words)
    assert (heldout.collides(" ".join(new)) is not None) == expected
