"""What an evaluation says: every number of the report's main table, and the headline in words.

Scores lie between 0 and 1. Gains are differences of scores in points: hundredths.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

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
        """Whether all of it lies on one side of zero."""
        return self.low > 0 or self.high < 0


class ClassScores(_Part):
    """How well one label is told from the others; means over the seeds.

    Attributes:
        precision: Share of the predictions of this label that is right; 0 when there is none.
        recall: Share of the examples of this label that is found; 0 when there is none.
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
        interval: Of the gain, in points; resampled over test examples and seeds.
        mcnemar_p: Mid-p value of McNemar's test on the majority votes; None for text outputs.
        mcnemar_p_holm: The same, corrected by Holm's method for the number of arms that hold
            synthetic examples; None for text outputs and for ``gold``, which claims nothing.
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


class ArmResult(_Part):
    """One arm on the test examples.

    Attributes:
        arm: Its name.
        training_examples: Examples it was trained on, by source.
        dev_scores: Score of each seed on dev, in the order of ``Evaluation.seeds``.
        scores: Score of each seed on test, in the same order.
        mean: Mean of ``scores``.
        sd: Standard deviation of ``scores`` (divisor n - 1); None for one seed.
        interval: Of the mean; resampled over test examples and seeds.
        metrics: Other scores by metric, each a mean over the seeds.
        expected_calibration_error: Mean over the seeds; None for text outputs.
        reliability: Bins of the reliability diagram, all seeds together; empty for text outputs.
        per_class: By label; empty for text outputs.
        confusion: Counts summed over the seeds, rows the true label and columns the predicted
            one, in the order of ``Evaluation.labels``; empty for text outputs.
        comparison: Against ``real``; None for ``real`` itself.
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
    confusion: tuple[tuple[int, ...], ...] = ()
    comparison: Comparison | None = None

    @property
    def dev_mean(self) -> float:
        """Mean score on dev."""
        return sum(self.dev_scores) / len(self.dev_scores)


class SliceScore(_Part):
    """One arm on the examples of a slice.

    Attributes:
        arm: Its name.
        score: Mean over the seeds, by the primary metric.
        gain: Mean score minus that of ``real`` there, in points; None for ``real`` itself.
        interval: Of the gain, in points; resampled over the slice's examples and the seeds.
    """

    arm: str
    score: float
    gain: float | None
    interval: Interval | None


class Slice(_Part):
    """Some of the test examples, which have something in common.

    Attributes:
        by: What they have in common: the true label, the length, or the value in the user's column.
        name: The label, the range of lengths in characters, or the value.
        examples: How many they are.
        is_small: Whether they are too few for their scores to mean much.
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
        metric: The primary metric: all scores and gains are its.
        confidence: Coverage of the intervals.
        test_examples: Number of test examples.
        seeds: The students' seeds, the same for all arms.
        labels: The task's labels in order; empty for text outputs.
        arms: The arms, ``real`` first and ``gold`` last.
        chosen_arm: The arm with the best mean on *dev*, ``gold`` aside. The headline is about it:
            to pick it by its test score would make that score too high.
        headline: The result in one sentence.
        slices: The arms on parts of the test examples.
        slice_column: Name of the user's column; empty where none was asked for.
    """

    task_id: str
    kind: Literal["classification", "text2text"]
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
        """The result of one arm."""
        return next(result for result in self.arms if result.arm == name)
