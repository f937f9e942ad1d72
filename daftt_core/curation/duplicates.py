"""Texts that were there before: near duplicates, and echoes of prompts and labelled examples.

Inputs are compared as sets of character 5-grams: words are too few in a sentence. rensa makes the
signatures. Two inputs become candidates when one *band* of their signatures is equal, which has the
probability ``1 - (1 - s**width)**bands`` for a Jaccard similarity of ``s`` (Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", section 3.4). Bands are compared by sorting them, one array of
64-bit numbers each, and candidates by their texts, so a rejection states the true similarity.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from daftt_core.curation.rows import Row
from daftt_core.records import Example, bare, words_of
from daftt_core.tasks import TURN, Task

_Run = tuple[str, ...]
_PROMPT = None


class EchoIndex:
    """Finds the text, of those the teacher was shown, that another text repeats.

    What counts is *containment*: the share of a text's different runs of words that one other text
    has too (Broder, "On the resemblance and containment of documents", 1997).

    Args:
        task: The task, for the instructions and the examples of its prompts.
        labelled: The real examples the teacher learned from, and that its prompts show.
        words: Length of the runs.
    """

    def __init__(self, task: Task, labelled: Iterable[Example], words: int) -> None:
        self._words = words
        self._holders: dict[_Run, list[str | None]] = {}
        solved = map(task.example_of, (*task.positive_examples, *task.negative_examples))
        own = [text for one in solved for text in (one.text, one.text_pair)]
        shown: list[tuple[str | None, Iterable[_Run]]] = [
            (_PROMPT, self._runs(task.definition, task.writing_definition, TURN, *own)),
            *((one.id, self._runs(one.text, one.text_pair)) for one in labelled),
        ]
        for holder, runs in shown:
            for run in runs:
                self._holders.setdefault(run, []).append(holder)

    def closest(self, example: Example, least: float) -> tuple[float, str | None] | None:
        """What an example repeats.

        Args:
            example: Only its input counts.
            least: The containment from which it is an echo.

        Returns:
            The containment and the id of the example that is repeated most, or None in its place
            where that is the prompt; None when nothing is repeated enough.
        """
        runs = self._runs(example.text, example.text_pair)
        known = [run for run in runs if run in self._holders]
        # only a suspect is compared with each text by itself: that takes longer
        if not runs or len(known) / len(runs) < least:
            return None
        hits = Counter(holder for run in known for holder in self._holders[run])
        holder, count = max(hits.items(), key=lambda item: (item[1], item[0] or ""))
        return (count / len(runs), holder) if count / len(runs) >= least else None

    def _runs(self, *texts: str | None) -> set[_Run]:
        return {run for text in texts if text for run in self._runs_of(words_of(text))}

    def _runs_of(self, words: list[str]) -> Iterator[_Run]:
        """The runs of a text; of a shorter one the whole, which equals a whole text or nothing."""
        for start in range(max(len(words) - self._words + 1, bool(words))):
            yield tuple(words[start : start + self._words])


_SIGNATURE = 128
_SEED = 42
_GRAM = 5
_BATCH = 2000
_LEAST_RECALL = 0.95
# Texts of one template are candidates of each other; an example is compared with so many.
_MOST_CANDIDATES = 64


class _Entry(Protocol):
    """An input that can be had when it is needed."""

    @property
    def id(self) -> str: ...

    def read(self) -> Example: ...


@dataclass(frozen=True, slots=True)
class _Held:
    """An input in memory."""

    example: Example

    @property
    def id(self) -> str:
        return self.example.id

    def read(self) -> Example:
        return self.example


def bands_for(threshold: float) -> tuple[int, int]:
    """The fewest bands, and their width, that find 95% of the pairs just at the threshold."""
    widths = range(_SIGNATURE, 0, -1)
    return next(
        (_SIGNATURE // width, width)
        for width in widths
        if 1 - (1 - threshold**width) ** (_SIGNATURE // width) >= _LEAST_RECALL
    )


def near_duplicates(rows: Sequence[Row], threshold: float) -> Iterator[tuple[float, str] | None]:
    """For each row the first earlier one, of those not rejected, that it is a near duplicate of.

    Args:
        rows: In the order in which they have precedence.
        threshold: Jaccard similarity from which two inputs are near duplicates.

    Yields:
        The similarity and the id, or None.
    """
    keys = _band_keys(rows, *bands_for(threshold))
    shared = _shared(keys)
    suspects = set(np.flatnonzero(shared.any(axis=1)).tolist())
    kept: list[dict[int, list[Row]]] = [defaultdict(list) for _ in range(keys.shape[1])]
    for place, row in enumerate(rows):
        if place not in suspects:
            yield None
            continue
        bands = np.flatnonzero(shared[place])
        buckets = [kept[band][int(keys[place, band])] for band in bands]
        found = _first(row, buckets, threshold)
        if found is None:
            for bucket in buckets:
                bucket.append(row)
        yield found


class NearIndex:
    """Inputs that come one by one, each compared with those before it.

    Args:
        threshold: As for :func:`near_duplicates`.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._bands, self._width = bands_for(threshold)
        self._kept: list[dict[int, list[_Held]]] = [defaultdict(list) for _ in range(self._bands)]

    def add(self, example: Example) -> tuple[float, str] | None:
        """The similarity to, and the id of, an earlier input that this one is like.

        None where there is none; then it is one of those that later ones are compared with.
        """
        held = _Held(example)
        (keys,) = _band_keys([held], self._bands, self._width)
        buckets = [kept[int(key)] for kept, key in zip(self._kept, keys, strict=True)]
        found = _first(held, buckets, self._threshold)
        if found is None:
            for bucket in buckets:
                bucket.append(held)
        return found


def similarity(one: Example, other: Example) -> float:
    """Jaccard similarity of two inputs; of two pairs, that of the parts that differ more."""
    parts = ((one.text, other.text), (one.text_pair or "", other.text_pair or ""))
    return min(_jaccard(_grams(a), _grams(b)) for a, b in parts)


def _first(
    row: _Entry, buckets: Sequence[Sequence[_Entry]], threshold: float
) -> tuple[float, str] | None:
    candidates = {
        other.id: other for bucket in buckets for other in islice(bucket, _MOST_CANDIDATES)
    }
    if not candidates:
        return None
    example = row.read()
    for other in islice(candidates.values(), _MOST_CANDIDATES):
        found = similarity(example, other.read())
        if found >= threshold:
            return found, other.id
    return None


def _band_keys(rows: Sequence[_Entry], bands: int, width: int) -> NDArray[np.uint64]:
    """One number for each row and band, of shape [rows, bands]."""
    odd = np.random.default_rng(_SEED).integers(2**63, size=width, dtype=np.uint64) * 2 + 1
    keys = np.empty((len(rows), bands), np.uint64)
    for start in range(0, len(rows), _BATCH):
        tokens = [_tokens(row.read()) for row in rows[start : start + _BATCH]]
        digests = RMinHash.digests_from_token_sets(tokens, _SIGNATURE, _SEED)
        values = np.array(digests, np.uint64)[:, : bands * width].reshape(-1, bands, width)
        keys[start : start + len(tokens)] = ((values + 1) * odd).sum(axis=2, dtype=np.uint64)
    return keys


def _shared(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys another row has too in the same band."""
    shared = np.zeros(keys.shape, np.bool_)
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band])
        equal = np.diff(keys[order, band]) == 0
        shared[order[:-1][equal], band] = True
        shared[order[1:][equal], band] = True
    return shared


def _tokens(example: Example) -> list[str]:
    """The grams of both inputs; a mark keeps those of a pair's second apart."""
    second = () if example.text_pair is None else _grams(example.text_pair)
    return [*_grams(example.text), *(f"\n{gram}" for gram in second)]


def _grams(text: str) -> set[str]:
    plain = bare(text)
    return {plain[start : start + _GRAM] for start in range(max(1, len(plain) - _GRAM + 1))}


def _jaccard(one: set[str], other: set[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common)
