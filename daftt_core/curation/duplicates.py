"""Finds near duplicates, and echoes of prompts and labelled examples.

Inputs are compared as sets of character 5-grams: words are too few in a sentence. rensa makes the
signatures. Two inputs become candidates when one *band* of their signatures is equal, which has the
probability ``1 - (1 - s**width)**bands`` for a Jaccard similarity of ``s`` (Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", section 3.4). Bands are compared by sorting them, one array of
64-bit numbers each, and candidates by their texts, so a rejection states the true similarity.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from daftt_core.curation.rows import Row
from daftt_core.records import Example
from daftt_core.records.words import bare, words_of
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
        own = [text for each in solved for text in (each.text, each.text_pair)]
        shown: list[tuple[str | None, Iterable[_Run]]] = [
            (_PROMPT, self._runs(task.definition, task.writing_definition, TURN, *own)),
            *((each.id, self._runs(each.text, each.text_pair)) for each in labelled),
        ]
        for holder, runs in shown:
            for run in runs:
                self._holders.setdefault(run, []).append(holder)

    def closest(self, example: Example, least: float) -> tuple[float, str | None] | None:
        """Return what an example repeats.

        Args:
            example: Only its input counts.
            least: The containment from which it is an echo.

        Returns:
            The containment and the id of the example that is repeated most, where the id of the
            prompt is None; None when nothing is repeated enough.
        """
        runs = self._runs(example.text, example.text_pair)
        known = [run for run in runs if run in self._holders]
        # only suspects are compared with each text by itself, which takes longer
        if not runs or len(known) / len(runs) < least:
            return None
        hits = Counter(holder for run in known for holder in self._holders[run])
        holder, count = max(hits.items(), key=lambda item: (item[1], item[0] or ""))
        return (count / len(runs), holder) if count / len(runs) >= least else None

    def _runs(self, *texts: str | None) -> set[_Run]:
        return {run for text in texts if text for run in self._runs_of(words_of(text))}

    def _runs_of(self, words: list[str]) -> Iterator[_Run]:
        """Yield the runs of a text; of a shorter text the whole."""
        for start in range(max(len(words) - self._words + 1, bool(words))):
            yield tuple(words[start : start + self._words])


_SIGNATURE = 128
_SEED = 42
_GRAM = 5
_BATCH = 2000
_LEAST_RECALL = 0.95
# All texts of one template are candidates of each other; an example is compared with this many.
_MAX_CANDIDATES = 64


_Entry = Row | Example  # on disk, or in memory


def bands_for(threshold: float) -> tuple[int, int]:
    """Return the fewest bands, and their width, that find 95% of the pairs at the threshold."""
    widths = range(_SIGNATURE, 0, -1)
    return next(
        (_SIGNATURE // width, width)
        for width in widths
        if 1 - (1 - threshold**width) ** (_SIGNATURE // width) >= _LEAST_RECALL
    )


def near_duplicates(rows: Sequence[Row], threshold: float) -> Iterator[tuple[float, str] | None]:
    """Yield for each row the first earlier row, not rejected, that it is a near duplicate of.

    Args:
        rows: The rows, those with precedence first.
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
        duplicate = _first(row, buckets, threshold)
        if duplicate is None:
            for bucket in buckets:
                bucket.append(row)
        yield duplicate


class NearIndex:
    """Inputs that come one by one, each compared with those before it.

    Args:
        threshold: As for :func:`near_duplicates`.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._bands, self._width = bands_for(threshold)
        self._kept: list[dict[int, list[Example]]] = [defaultdict(list) for _ in range(self._bands)]

    def add(self, example: Example) -> tuple[float, str] | None:
        """Return the similarity to, and the id of, an earlier input that this one is like.

        None where there is none; then later inputs are compared with this one.
        """
        (keys,) = _band_keys([example], self._bands, self._width)
        buckets = [kept[int(key)] for kept, key in zip(self._kept, keys, strict=True)]
        duplicate = _first(example, buckets, self._threshold)
        if duplicate is None:
            for bucket in buckets:
                bucket.append(example)
        return duplicate


def similarity(first: Example, second: Example) -> float:
    """Return the Jaccard similarity of two inputs; of pairs, that of the less similar parts."""
    parts = ((first.text, second.text), (first.text_pair or "", second.text_pair or ""))
    return min(_jaccard(_grams(a), _grams(b)) for a, b in parts)


def _first(
    row: _Entry, buckets: Sequence[Sequence[_Entry]], threshold: float
) -> tuple[float, str] | None:
    candidates = {
        entry.id: entry for bucket in buckets for entry in islice(bucket, _MAX_CANDIDATES)
    }
    if not candidates:
        return None
    example = _read(row)
    for candidate in islice(candidates.values(), _MAX_CANDIDATES):
        likeness = similarity(example, _read(candidate))
        if likeness >= threshold:
            return likeness, candidate.id
    return None


def _read(entry: _Entry) -> Example:
    return entry.read() if isinstance(entry, Row) else entry


def _band_keys(rows: Sequence[_Entry], bands: int, width: int) -> NDArray[np.uint64]:
    """Return one number for each row and band, shape [rows, bands]."""
    odd = np.random.default_rng(_SEED).integers(2**63, size=width, dtype=np.uint64) * 2 + 1
    keys = np.empty((len(rows), bands), np.uint64)
    for start in range(0, len(rows), _BATCH):
        tokens = [_tokens(_read(row)) for row in rows[start : start + _BATCH]]
        digests = RMinHash.digests_from_token_sets(tokens, _SIGNATURE, _SEED)
        values = np.array(digests, np.uint64)[:, : bands * width].reshape(-1, bands, width)
        keys[start : start + len(tokens)] = ((values + 1) * odd).sum(axis=2, dtype=np.uint64)
    return keys


def _shared(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which keys another row shares in the same band."""
    shared = np.zeros(keys.shape, np.bool_)
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band])
        equal = np.diff(keys[order, band]) == 0
        shared[order[:-1][equal], band] = True
        shared[order[1:][equal], band] = True
    return shared


def _tokens(example: Example) -> list[str]:
    """Return the grams of both inputs, those of a pair's second input marked."""
    second = () if example.text_pair is None else _grams(example.text_pair)
    return [*_grams(example.text), *(f"\n{gram}" for gram in second)]


def _grams(text: str) -> set[str]:
    plain = bare(text)
    return {plain[start : start + _GRAM] for start in range(max(1, len(plain) - _GRAM + 1))}


def _jaccard(first: set[str], second: set[str]) -> float:
    common = len(first & second)
    return common / (len(first) + len(second) - common)
