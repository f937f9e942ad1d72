"""Near duplicates: MinHash signatures, locality-sensitive hashing, and a last exact look.

Inputs are compared as sets of character 5-grams: words are too few in a sentence. rensa makes the
signatures. Two inputs become candidates when one *band* of their signatures is equal, which has the
probability ``1 - (1 - s**width)**bands`` for a Jaccard similarity of ``s`` (Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", section 3.4). Bands are compared by sorting them, one array of
64-bit numbers each, and candidates by their texts, so a rejection states the true similarity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from daftt_core.curation.rows import Row
from daftt_core.records import Example, bare

__all__ = ["NearIndex", "bands_for", "near_duplicates", "similarity"]

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
