"""The result of an evaluation: every number of the report's main table, and the headline.

Scores lie between 0 and 1. Gains are differences of scores in points: hundredths.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from daftt_core.evaluation.calibration import ReliabilityBin

REAL_ARM = "real"
GOLD_ARM = "gold"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Interval(_Part):
    """A two-sided confidence interval."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Return whether all of it lies on one side of zero."""
        return self.low > 0 or self.high < 0


class ClassScores(_Part):
    """How well one label is told from the others, or given rightly; means over the seeds.

    Attributes:
        precision: Share of right predictions of this label; 0 when it is never predicted.
        recall: Share of the examples of this label that are found; 0 when there are none.
        f1: Harmonic mean of the two.
        support: Test examples that have this label.
    """

    precision: float
    recall: float
    f1: float
    support: int


class Comparison(_Part):
    """An arm against ``real``, on the same seeds and the same test examples.

    Attributes:
        gain: Mean score minus that of ``real``, in points.
        interval: Interval of the gain, in points; resampled over test examples and seeds.
        mcnemar_p: Mid-p value of McNemar's test on the majority votes; a set of labels is right as
            a whole or not at all. None for text outputs.
        mcnemar_p_holm: The same, corrected by Holm's method for the number of arms that hold
            synthetic examples; None for text outputs and for ``gold``, which makes no claim.
        significant: Whether the interval excludes zero.
        gap_closed: Share of the distance from ``real`` to ``gold`` that the gain covers; None
            where there is no ``gold``, or it is not better than ``real``.
    """

    gain: float
    interval: Interval
    mcnemar_p: float | None
    mcnemar_p_holm: float | None
    significant: bool
    gap_closed: float | None


_Counts = tuple[tuple[int, ...], ...]
_MAX_DENSE_LABELS = 50


def _as_cells(counts: _Counts) -> _Counts | dict[str, Any]:
    """Keep a matrix of many labels small: with 1,000 it has a million cells, nearly all zero."""
    if len(counts) <= _MAX_DENSE_LABELS:
        return counts
    cells = [
        (truth, answer, count)
        for truth, row in enumerate(counts)
        for answer, count in enumerate(row)
        if count
    ]
    return {"labels": len(counts), "cells": cells}


def _as_matrix(value: object) -> object:
    if not isinstance(value, dict):
        return value
    try:
        rows = [[0] * value["labels"] for _ in range(value["labels"])]
        for truth, answer, count in value["cells"]:
            rows[truth][answer] = count
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"is not a matrix in cells: {error}") from None
    return rows


_Confusion = Annotated[
    _Counts, BeforeValidator(_as_matrix), PlainSerializer(_as_cells, when_used="json")
]


class ArmResult(_Part):
    """One arm on the test examples.

    Attributes:
        arm: Its name.
        training_examples: Examples it was trained on, by source.
        dev_scores: Score of each seed on dev, in the order of ``Evaluation.seeds``.
        scores: Score of each seed on test, in the same order.
        mean: Mean of ``scores``.
        sd: Standard deviation of ``scores`` (divisor n - 1); None for one seed.
        interval: Interval of the mean; resampled over test examples and seeds.
        metrics: Other scores by metric, each a mean over the seeds.
        expected_calibration_error: Mean over the seeds, of sets over the decisions about each
            label; None for text outputs.
        reliability: Bins of the reliability diagram, all seeds together; empty for text outputs.
        per_class: By label; empty for text outputs.
        confusion: Counts summed over the seeds, rows the true label and columns the predicted
            one, in the order of ``Evaluation.labels``; empty for texts and sets. JSON of more than
            50 labels has only the cells that are not zero: at most one a prediction.
        comparison: Comparison with ``real``; None for ``real`` itself.
        tried: Score on dev of each way in which its students were trained; empty where there was
            one.
        way: The way whose students these are: ``plain``, ``contrastive`` or ``distilled``.
        recipes: Score on dev of a first student of each recipe; empty where there was one.
        recipe: What they learned from: ``all`` or ``surest``.
        start: ``labels`` where they started from the students of the labels alone; None: from the
            model.
    """

    arm: str
    training_examples: dict[str, int]
    dev_scores: tuple[float, ...]
    scores: tuple[float, ...]
    mean: float
    sd: float | None
    interval: Interval
    metrics: dict[str, float]
    expected_calibration_error: float | None = None
    reliability: tuple[ReliabilityBin, ...] = ()
    per_class: dict[str, ClassScores] = {}
    confusion: _Confusion = ()
    comparison: Comparison | None = None
    tried: dict[str, float] = {}
    way: str = "plain"
    recipes: dict[str, float] = {}
    recipe: str = "all"
    start: str | None = None

    @property
    def dev_mean(self) -> float:
        """Return the mean score on dev."""
        return sum(self.dev_scores) / len(self.dev_scores)

    @property
    def best_seed(self) -> int:
        """Return the index of the student that is best on dev, the first of equals."""
        return max(range(len(self.dev_scores)), key=self.dev_scores.__getitem__)


class SliceScore(_Part):
    """One arm on the examples of a slice.

    Attributes:
        arm: Its name.
        score: Mean over the seeds, by the primary metric.
        gain: Mean score minus that of ``real`` there, in points; None for ``real`` itself.
        interval: Interval of the gain, in points; resampled over its examples and the seeds.
    """

    arm: str
    score: float
    gain: float | None
    interval: Interval | None


class Slice(_Part):
    """Some of the test examples, which have something in common.

    Attributes:
        by: Common trait: a true label, the length, or the value in the user's column.
        name: The label, the range of lengths in characters, or the value.
        examples: How many they are.
        is_small: Whether they are too few for reliable scores.
        arms: Every arm on them, in the order of ``Evaluation.arms``.
    """

    by: Literal["class", "length", "column"]
    name: str
    examples: int
    is_small: bool
    arms: tuple[SliceScore, ...]


class Evaluation(_Part):
    """All arms on the same test examples.

    Attributes:
        task_id: The task.
        kind: The task's kind.
        metric: The primary metric, of all scores and gains.
        confidence: Coverage of the intervals.
        test_examples: Number of test examples.
        seeds: The students' seeds, the same for all arms.
        labels: The task's labels in order; empty for text outputs.
        arms: The arms, ``real`` first and ``gold`` last.
        chosen_arm: The arm with the best mean on *dev*, ``gold`` aside. The headline is about it:
            choosing by test scores would make them too high.
        headline: The result in one sentence.
        slices: The arms on parts of the test examples.
        slice_column: Name of the user's column; empty where none was set.
    """

    task_id: str
    kind: Literal["classification", "multilabel", "text2text"]
    metric: str
    confidence: float
    test_examples: int
    seeds: tuple[int, ...]
    labels: tuple[str, ...]
    arms: tuple[ArmResult, ...]
    chosen_arm: str
    headline: str
    slices: tuple[Slice, ...] = ()
    slice_column: str = ""

    def arm(self, name: str) -> ArmResult:
        """Return the result of one arm."""
        return next(result for result in self.arms if result.arm == name)

    @property
    def chosen(self) -> ArmResult:
        """Return the result of the arm that dev chose."""
        return self.arm(self.chosen_arm)
