"""The arms on parts of the test examples: by class, by length, and by a column of the user's.

The rules, which the report states: lengths are cut at the terciles of the test set; of a column's
values the ten with most examples are shown, and all others are one slice; a slice of fewer than
thirty examples is marked as small. Intervals are not corrected for the number of slices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from daftt_core.evaluation.answers import Answers
from daftt_core.evaluation.label_sets import label_matrix
from daftt_core.evaluation.models import REAL_ARM, Slice, SliceScore
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.records import Traits
from daftt_core.tasks import Task

MOST_VALUES = 10
SMALL = 30

_NO_VALUE = "(empty)"
_Members = npt.NDArray[np.int64]


def compare_slices(
    answers: Answers,
    scores: npt.NDArray[np.float64],
    arms: Sequence[str],
    traits: Traits | None,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> tuple[Slice, ...]:
    """Score every arm on every slice.

    Args:
        answers: What the students answered.
        scores: The score of each answer, shape [arms, seeds, examples].
        arms: The arms, in the order of ``scores``.
        traits: Lengths and values of the test examples; None: only slices by class.
        resamples: Bootstrap resamples behind each interval.
        confidence: Coverage of the intervals.
        seed: Seed of the resampling.
    """
    slices = []
    for by, name, members in slices_of(answers.task, answers.ids, answers.gold, traits):
        inside = scores[:, :, members]
        resampled = bootstrap_means(inside, resamples, seed, f"compare arms by {by}")
        slices.append(
            Slice(
                by=by,
                name=name,
                examples=len(members),
                is_small=len(members) < SMALL,
                arms=_compared(arms, inside.mean(axis=(1, 2)), resampled, confidence),
            )
        )
    return tuple(slices)


def _compared(
    arms: Sequence[str],
    means: npt.NDArray[np.float64],
    resampled: npt.NDArray[np.float64],
    confidence: float,
) -> tuple[SliceScore, ...]:
    real = list(arms).index(REAL_ARM)
    gains = 100 * (resampled - resampled[:, [real]])
    return tuple(
        SliceScore(
            arm=arm,
            score=float(means[place]),
            gain=None if place == real else float(100 * (means[place] - means[real])),
            interval=None if place == real else percentile_interval(gains[:, place], confidence),
        )
        for place, arm in enumerate(arms)
    )


def slices_of(
    task: Task, ids: Sequence[str], golds: Sequence[str], traits: Traits | None
) -> Iterator[tuple[Literal["class", "length", "column"], str, _Members]]:
    """Yield the slices that hold any example: common trait, name and members."""
    holds = label_matrix(task, golds) if task.labels else np.empty((len(golds), 0), dtype=bool)
    for label, column in zip(task.label_names, holds.T, strict=True):
        members = np.flatnonzero(column)
        if len(members):
            yield "class", label, members
    if traits is None:
        return
    for name, members in _by_length([traits.characters[id_] for id_ in ids]):
        yield "length", name, members
    if traits.column:
        for name, members in _by_value([traits.values[id_] for id_ in ids]):
            yield "column", name, members


def _by_length(lengths: Sequence[int]) -> Iterator[tuple[str, _Members]]:
    """Cut at the terciles; equal lengths stay together, so the parts may differ in size."""
    characters = np.asarray(lengths)
    edges = np.quantile(characters, [1 / 3, 2 / 3])
    third = np.searchsorted(edges, characters, side="left")
    for place in np.unique(third):
        members = np.flatnonzero(third == place)
        low, high = characters[members].min(), characters[members].max()
        yield f"{low} to {high} characters" if low < high else f"{low} characters", members


def _by_value(values: Sequence[str]) -> Iterator[tuple[str, _Members]]:
    """Yield the values with most examples, and one slice of all the others."""
    counts = Counter(values)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    shown, others = ranked[:MOST_VALUES], set(ranked[MOST_VALUES:])
    of_value = np.asarray(values, dtype=object)
    for value in shown:
        yield value or _NO_VALUE, np.flatnonzero(of_value == value)
    if others:
        members = np.flatnonzero([value in others for value in values])
        yield f"all others ({len(others)} values)", members
