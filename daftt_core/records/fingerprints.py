"""Recognizing dev and test examples without reading them.

Synthetic text must not overlap with the examples that measure the students, and nothing but the
evaluation may read the test examples. So the data stage leaves fingerprints: the id of each
held-out example, a hash of its input without punctuation, and a short hash of each of its words, in
order. Two texts that share a run of words share a run of hashes, whatever length of run a filter
uses, so changing a filter's setting does not prepare the data again.

An input overlaps with a held-out one

- when the two are the same but for case, spacing and punctuation;
- when a text of one shares a run of words with a text of the other: of the length that is set, or
  all words of the shorter text where it has fewer, but more than four;
- when it is a near copy: of the words of the longer of the two, more than four, at least 80% are
  the other's in the same order. A pair's texts count as one text there.

A character of a script without blanks (see :mod:`daftt_core.records.words`) is worth half a word:
eight words of English say about as much as sixteen characters of Chinese, Japanese or Korean.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from daftt_core.errors import DataError
from daftt_core.records.examples import Example, Record, content_id, digest
from daftt_core.records.files import write_text
from daftt_core.records.words import bare, is_character, words_of

FORM: Literal[2] = 2
"""The format of the file of fingerprints; data prepared in another format is prepared again."""

# 64 bits a word: a million different words collide with a chance of 3 in 100 million. A character
# of a script without blanks has half of that, which is also how it is told from a word.
_WORD_DIGITS, _CHARACTER_DIGITS = 16, 8
_FEW = 4  # texts of so few words are compared whole: a part of one says nothing
_LEAST_COMMON = 0.8  # so one word of five may differ

_Run = tuple[str, ...]


class Fingerprint(Record):
    """The fingerprint of one held-out example.

    Attributes:
        id: The example's id.
        bare: Hash of its input without case, spacing and punctuation.
        words: For each of its texts, the hash of each normalized word.
    """

    id: str
    bare: str
    words: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, example: Example) -> Fingerprint:
        """Make the fingerprint of an example."""
        bare_id, words = _hashed(example.text, example.text_pair)
        return cls(id=example.id, bare=bare_id, words=words)


class _File(Record):
    form: Literal[2] = FORM
    examples: tuple[Fingerprint, ...]


def write_fingerprints(path: Path, examples: Iterable[Example]) -> None:
    """Write the fingerprints of held-out examples, sorted by id, for :meth:`Heldout.load`."""
    fingerprints = sorted(map(Fingerprint.of, examples), key=lambda fingerprint: fingerprint.id)
    write_text(path, _File(examples=tuple(fingerprints)).model_dump_json() + "\n")


class Heldout:
    """The held-out examples, and a search for texts that overlap with one of them.

    Args:
        fingerprints: The held-out examples.
        words: Length of a shared run of words that counts as overlap, at least 1.
    """

    def __init__(self, fingerprints: Iterable[Fingerprint], words: int) -> None:
        self._fingerprints = tuple(sorted(fingerprints, key=lambda fingerprint: fingerprint.id))
        self._words = words
        self._ids = {fingerprint.id for fingerprint in self._fingerprints}
        self._bare: dict[str, str] = {}
        self._runs: dict[_Run, str] = {}
        self._short: defaultdict[int, dict[_Run, str]] = defaultdict(dict)
        self._parts: dict[int, dict[_Run, str]] = {}
        self._near = _NearCopies(self._fingerprints)
        for fingerprint in self._fingerprints:
            self._bare.setdefault(fingerprint.bare, fingerprint.id)
            for text in fingerprint.words:
                if self._is_short(text):
                    self._short[len(text)].setdefault(text, fingerprint.id)
                for run in _runs_worth(text, words):
                    self._runs.setdefault(run, fingerprint.id)

    @classmethod
    def load(cls, path: Path, words: int) -> Heldout:
        """Read what :func:`write_fingerprints` wrote.

        Args:
            path: The file.
            words: Length of a shared run of words that counts as overlap.

        Raises:
            DataError: The file is missing or does not hold fingerprints.
        """
        try:
            file = _File.model_validate_json(path.read_bytes())
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None
        except ValidationError:
            raise DataError(
                f"{path}: does not hold the fingerprints of examples as this version of DAFTT "
                "makes them: run the pipeline again, which prepares the data again"
            ) from None
        return cls(file.examples, words)

    def __len__(self) -> int:
        return len(self._fingerprints)

    def __contains__(self, example_id: str) -> bool:
        return example_id in self._ids

    def collides(self, text: str, text_pair: str | None = None) -> str | None:
        """Return the id of a held-out example that an input overlaps with.

        Args:
            text: The input, or the first of two.
            text_pair: The second input of a pair task.

        Returns:
            The id, or None when there is no overlap. It equals ``content_id(text, text_pair)``
            when the input is the held-out example itself, up to case and spacing.
        """
        own_id = content_id(text, text_pair)
        if own_id in self._ids:
            return own_id
        bare_id, texts = _hashed(text, text_pair)
        return (
            self._bare.get(bare_id)
            or next(filter(None, map(self._sharing, texts)), None)
            or self._near.find(tuple(chain(*texts)))
        )

    def _sharing(self, text: _Run) -> str | None:
        """Return the id of an example that shares a run of words, long enough for both."""
        for run in _runs_worth(text, self._words):
            if run in self._runs:
                return self._runs[run]
        for length, short_texts in self._short.items():
            for run in _runs_of(text, length):
                if run in short_texts:
                    return short_texts[run]
        return self._of_length(len(text)).get(text) if self._is_short(text) else None

    def _is_short(self, text: _Run) -> bool:
        """Return whether a text is long enough to compare, but shorter than the run that is set."""
        return 2 * _FEW < _halves(text) < 2 * self._words

    def _of_length(self, count: int) -> dict[_Run, str]:
        """Return all runs of so many hashes, with the id of an example that holds each."""
        if count not in self._parts:
            self._parts[count] = {
                run: fingerprint.id
                for fingerprint in self._fingerprints
                for text in fingerprint.words
                for run in _runs_of(text, count)
            }
        return self._parts[count]


class _NearCopies:
    """An index that finds held-out inputs of nearly the same words in the same order.

    A near copy of five words lacks one of them at most, so it has one of the two rarest; of ten
    words it has one of the three rarest, and so on. Each input is indexed under so many, and only
    inputs that share such a word are compared.
    """

    def __init__(self, fingerprints: Iterable[Fingerprint]) -> None:
        self._inputs = [
            (fingerprint.id, tuple(chain(*fingerprint.words))) for fingerprint in fingerprints
        ]
        holders = Counter(word for _, words in self._inputs for word in set(words))
        self._index: defaultdict[str, list[int]] = defaultdict(list)
        for position, (_, words) in enumerate(self._inputs):
            rarest_first = sorted(words, key=lambda word: (holders[word], word))
            missing = len(words) - _least_common(len(words))
            for word in set(rarest_first[: missing + 1]):
                self._index[word].append(position)

    def find(self, words: _Run) -> str | None:
        """Return the id of an input that words are a near copy of, or None."""
        candidates = {position for word in set(words) for position in self._index.get(word, ())}
        if not candidates:
            return None
        subsequence = _Subsequence(words)
        for position in sorted(candidates):
            input_id, input_words = self._inputs[position]
            least = _least_common(max(len(words), len(input_words)))
            if (
                least <= min(len(words), len(input_words))
                and subsequence.length(input_words) >= least
                and max(_halves(words), _halves(input_words)) > 2 * _FEW
            ):
                return input_id
        return None


class _Subsequence:
    """Words, prepared for the length of the longest subsequence that others share with them.

    It is computed on bits (H. Hyyro, "Bit-parallel LCS-length computation revisited", 2004).
    """

    def __init__(self, words: _Run) -> None:
        self._count = len(words)
        self._positions: defaultdict[str, int] = defaultdict(int)
        for position, word in enumerate(words):
            self._positions[word] |= 1 << position

    def length(self, words: _Run) -> int:
        """Return how many words these have in common with the prepared ones, in order."""
        every = row = (1 << self._count) - 1
        for word in words:
            matched = row & self._positions.get(word, 0)
            row = ((row + matched) | (row - matched)) & every
        return self._count - row.bit_count()


def _least_common(count: int) -> int:
    """Return how many words of a text a near copy has at least."""
    return math.ceil(_LEAST_COMMON * count)


def _hashed(text: str, text_pair: str | None) -> tuple[str, tuple[_Run, ...]]:
    """Return the hash of an input without punctuation, and for each text those of its words."""
    texts = [text] if text_pair is None else [text, text_pair]
    words = tuple(tuple(map(_hash, words_of(each))) for each in texts)
    return digest(*map(bare, texts)), words


@lru_cache(maxsize=2**16)  # a language's frequent words make up most of its texts
def _hash(word: str) -> str:
    digits = _CHARACTER_DIGITS if is_character(word) else _WORD_DIGITS
    return hashlib.sha256(word.encode()).hexdigest()[:digits]


def _halves(hashes: _Run) -> int:
    """Return the worth of words: two halves a word, one a character of a script without blanks."""
    return sum(map(len, hashes)) // _CHARACTER_DIGITS


def _runs_worth(hashes: _Run, words: int) -> Iterator[_Run]:
    """Yield from each position on the shortest run that is worth so many words."""
    worth = end = 0
    for start, first in enumerate(hashes):
        while worth < words * _WORD_DIGITS:
            if end == len(hashes):
                return
            worth += len(hashes[end])
            end += 1
        yield hashes[start:end]
        worth -= len(first)


def _runs_of(hashes: _Run, count: int) -> Iterator[_Run]:
    return (hashes[start : start + count] for start in range(len(hashes) - count + 1))
