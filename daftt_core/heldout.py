"""Recognizing dev and test examples without reading them.

Synthetic text must not overlap with what the students are measured on, and nothing but the
evaluation may read the test examples. So the data stage leaves fingerprints: the id of each
held-out example and a short hash of each of its words, in order. Two texts that share a run of
words share a run of hashes, whatever length of run a filter asks for: a filter's setting is no
reason to prepare the data anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from daftt_core.errors import DataError
from daftt_core.records import Example, content_id, normalize
from daftt_core.storage import write_text

__all__ = ["Fingerprint", "Heldout", "words_of", "write_fingerprints"]

_WORD = re.compile(r"\w+")
# 64 bits a word: a million different words collide with a chance of 3 in 100 million.
_HASH_DIGITS = 16


class Fingerprint(BaseModel):
    """What is kept of one held-out example.

    Attributes:
        id: The example's id.
        words: For each of its texts, the hash of each normalized word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    words: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, example: Example) -> Fingerprint:
        """The fingerprint of an example."""
        return cls(id=example.id, words=_hashed(example.text, example.text_pair))


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: tuple[Fingerprint, ...]


def write_fingerprints(path: Path, examples: Iterable[Example]) -> None:
    """Write the fingerprints of held-out examples, sorted by id, for :meth:`Heldout.load`."""
    fingerprints = sorted(map(Fingerprint.of, examples), key=lambda one: one.id)
    write_text(path, _File(examples=tuple(fingerprints)).model_dump_json() + "\n")


class Heldout:
    """Finds texts that are, or share a run of words with, a held-out example.

    Args:
        fingerprints: The held-out examples.
        words: Length of a shared run of words that counts as overlap, at least 1.
    """

    def __init__(self, fingerprints: Iterable[Fingerprint], words: int) -> None:
        self._fingerprints = tuple(sorted(fingerprints, key=lambda one: one.id))
        self._words = words
        self._ids = {one.id for one in self._fingerprints}
        self._runs: dict[tuple[str, ...], str] = {}
        for one in self._fingerprints:
            for hashes in one.words:
                for run in _runs(hashes, words):
                    self._runs.setdefault(run, one.id)

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
            raise DataError(f"{path}: does not hold the fingerprints of examples") from None
        return cls(file.examples, words)

    def __len__(self) -> int:
        return len(self._fingerprints)

    def __contains__(self, example_id: str) -> bool:
        return example_id in self._ids

    def collides(self, text: str, text_pair: str | None = None) -> str | None:
        """The id of a held-out example that an input is, or shares a run of words with.

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
        for hashes in _hashed(text, text_pair):
            for run in _runs(hashes, self._words):
                if run in self._runs:
                    return self._runs[run]
        return None


def words_of(text: str) -> list[str]:
    """The words of a text, normalized: runs of letters, digits and underscores."""
    return _WORD.findall(normalize(text))


def _hashed(text: str, text_pair: str | None) -> tuple[tuple[str, ...], ...]:
    texts = [text] if text_pair is None else [text, text_pair]
    return tuple(tuple(map(_hash, words_of(one))) for one in texts)


@lru_cache(maxsize=2**16)  # a language's frequent words make up most of its texts
def _hash(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()[:_HASH_DIGITS]


def _runs(hashes: tuple[str, ...], words: int) -> Iterable[tuple[str, ...]]:
    return (hashes[start : start + words] for start in range(len(hashes) - words + 1))
