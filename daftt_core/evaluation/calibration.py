"""Measures whether confidences can be believed, fixes them, and chooses the least one to accept.

The teacher's confidence decides which of its labels are kept, so it must mean what it says: of
the labels given with 0.8, four in five should be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Floats = npt.NDArray[np.float64]

_LEAST_LOG_PROBABILITY = -700.0  # exp() of less is 0.0, and -inf has no gradient
_GREATEST_WEIGHT = 150.0


class Calibration(BaseModel):
    """One weight for each opinion and one bias for each label.

    The probabilities are ``softmax(weights[0] * log_probs[0] + ... + bias)``: a logarithmic opinion
    pool (C. Genest and J. V. Zidek, "Combining Probability Distributions", 1986, section 3). A
    single opinion is only calibrated: its weight is the inverse of a temperature.

    Attributes:
        weights: How much each opinion counts; the teacher's is the first.
        bias: Added to each label's logit, in label order; sums to zero when fitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weights: tuple[float, ...] = Field(default=(1.0,), min_length=1)
    bias: tuple[float, ...]

    def apply(self, *opinions: npt.ArrayLike) -> Floats:
        """Return calibrated probabilities.

        Args:
            opinions: Log-probabilities or logits of each opinion, shape [examples, labels].

        Returns:
            Probabilities of the same shape; each row sums to 1.
        """
        from scipy.special import softmax

        stacked = _stacked(opinions)
        if len(stacked) != len(self.weights):
            raise ValueError(f"{len(stacked)} opinions, but there are {len(self.weights)} weights")
        if stacked.shape[2] != len(self.bias):
            raise ValueError(f"{stacked.shape[2]} labels, but there are {len(self.bias)} biases")
        logits = np.tensordot(np.asarray(self.weights), stacked, axes=1)
        return np.asarray(softmax(logits + np.asarray(self.bias), axis=1))


class LabelSetCalibration(BaseModel):
    """A calibration and a threshold for each label of a multi-label task.

    Attributes:
        by_label: In label order, each of the two answers no and yes.
        thresholds: The probability from which a label is given, in label order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    by_label: tuple[Calibration, ...]
    thresholds: tuple[float, ...]

    def apply(self, log_odds: npt.ArrayLike) -> Floats:
        """Return the calibrated probability that each label applies.

        Args:
            log_odds: Of the answer yes, shape [examples, labels].

        Returns:
            Probabilities of the same shape.
        """
        columns = np.asarray(log_odds, dtype=np.float64).T
        answers = (np.stack([np.zeros_like(column), column], axis=1) for column in columns)
        fits = zip(self.by_label, answers, strict=True)
        return np.stack([fit.apply(both)[:, 1] for fit, both in fits], axis=1)


@dataclass(frozen=True)
class ReliabilityBin:
    """The examples whose confidence falls in one interval.

    Attributes:
        confidence: Their mean confidence.
        accuracy: The share of them that is right.
        count: How many they are; empty bins are left out.
    """

    confidence: float
    accuracy: float
    count: int


def fit_calibration(opinions: Sequence[npt.ArrayLike], gold: npt.ArrayLike) -> Calibration:
    """Fit the weights and biases that make held-out labels most likely.

    For a single opinion this is vector scaling (Guo et al. 2017, "On Calibration of Modern Neural
    Networks", section 4.2) with one slope for all labels. No weight is negative. A normal prior on
    each weight, about an equal share of 1, and on each bias, about 0, keeps the fit finite where
    few examples are given or all of them are right; it weighs as much as a single example does, so
    it fades as examples are added.

    Args:
        opinions: Log-probabilities or logits of each opinion, shape [examples, labels].
        gold: Index of the true label, shape [examples].

    Raises:
        ValueError: There is no example, a number is NaN, or the shapes do not agree.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    logits, truth = _stacked(opinions), np.asarray(gold, dtype=np.int64)
    _check_gold(logits[0], truth)
    voices, count, labels = logits.shape
    one_hot = np.eye(labels)[truth]
    start = np.concatenate((np.full(voices, 1 / voices), np.zeros(labels)))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, bias = parameters[:voices], parameters[voices:]
        log_probabilities = log_softmax(np.tensordot(weights, logits, axes=1) + bias, axis=1)
        error = np.exp(log_probabilities) - one_hot
        strayed = parameters - start
        slopes = np.tensordot(logits, error, axes=2)
        gradient = np.concatenate((slopes, error.sum(axis=0))) + strayed
        value = -(log_probabilities * one_hot).sum() + 0.5 * strayed @ strayed
        return float(value) / count, gradient / count

    bounds = [(0, _GREATEST_WEIGHT)] * voices + [(None, None)] * labels
    fit: Any = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    fitted = tuple(map(float, fit.x))
    return Calibration(weights=fitted[:voices], bias=fitted[voices:])


def reliability_bins(
    probs: npt.ArrayLike, gold: npt.ArrayLike, bins: int = 10
) -> list[ReliabilityBin]:
    """Group examples by confidence, for a reliability diagram.

    Args:
        probs: Probabilities, shape [examples, labels]; the confidence is the greatest of a row.
        gold: Index of the true label, shape [examples].
        bins: Number of intervals ``(a, b]`` of equal width between 0 and 1.

    Returns:
        The bins that hold any example, least confident first.
    """
    table, truth = np.asarray(probs, dtype=np.float64), np.asarray(gold, dtype=np.int64)
    _check_gold(table, truth)
    confidence = table.max(axis=1)
    right = table.argmax(axis=1) == truth
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    sums = np.bincount(which, weights=confidence, minlength=bins)
    hits = np.bincount(which, weights=right, minlength=bins)
    return [
        ReliabilityBin(float(sums[i] / counts[i]), float(hits[i] / counts[i]), int(counts[i]))
        for i in range(bins)
        if counts[i]
    ]


def expected_calibration_error(probs: npt.ArrayLike, gold: npt.ArrayLike, bins: int = 10) -> float:
    """Return the mean distance between confidence and accuracy over the bins, weighted by size.

    Guo et al. 2017, equation 3. Arguments as for :func:`reliability_bins`.
    """
    filled = reliability_bins(probs, gold, bins)
    total = sum(bin_.count for bin_ in filled)
    return sum(bin_.count / total * abs(bin_.accuracy - bin_.confidence) for bin_ in filled)


def _stacked(opinions: Sequence[npt.ArrayLike]) -> Floats:
    tables = [np.asarray(opinion, dtype=np.float64) for opinion in opinions]
    shapes = [table.shape for table in tables]
    if len(shapes[0]) != 2 or len(set(shapes)) > 1 or any(np.isnan(one).any() for one in tables):
        raise ValueError(
            f"log_probs: shapes {shapes}, must all be [examples, labels] alike, without NaN"
        )
    return np.maximum(np.stack(tables), _LEAST_LOG_PROBABILITY)


def _check_gold(table: Floats, gold: npt.NDArray[np.int64]) -> None:
    if np.isnan(table).any():
        raise ValueError("probabilities: must be without NaN")
    if not len(table) or gold.shape != (len(table),):
        raise ValueError(f"gold: shape {gold.shape}, must be [{len(table)}] and not empty")
    if gold.min() < 0 or gold.max() >= table.shape[1]:
        raise ValueError(f"gold: must be label indices from 0 to {table.shape[1] - 1}")


class Abstention(BaseModel):
    """The confidence below which the teacher gives no label.

    Attributes:
        wanted: The target precision: the share of given labels that should be right.
        threshold: Least confidence of a given label; None where no threshold reaches it.
        precision: Precision on dev, each half judged with the threshold chosen on the other; None
            where no label was given.
        coverage: Share of the dev examples that were given a label in the same way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    wanted: float
    threshold: float | None
    precision: float | None
    coverage: float

    def allows(self, confidence: float) -> bool:
        """Return whether a label of this confidence is given."""
        return self.threshold is not None and confidence >= self.threshold


def choose_threshold(
    confidence: npt.ArrayLike, right: npt.ArrayLike, half: npt.ArrayLike, wanted: float
) -> Abstention:
    """Choose the threshold that labels most of dev and is right often enough.

    It is the least confidence such that, of the examples at least that confident, the share
    ``wanted`` is right. Chosen and judged on the same examples it would look a little too good, so
    the reported precision is cross-validated on two halves.

    Args:
        confidence: Confidence of each dev example's most probable label, after calibration.
        right: Whether that label is the true one.
        half: 0 or 1 for each example, drawn by seed.
        wanted: The target precision, in (0, 1].

    Raises:
        ValueError: A confidence is NaN.
    """
    sure, hits, side = np.asarray(confidence), np.asarray(right), np.asarray(half)
    if np.isnan(sure).any():
        raise ValueError("confidence: must be without NaN")
    given = np.zeros(len(sure), dtype=bool)
    for part in (0, 1):
        least = _least(sure[side != part], hits[side != part], wanted)
        if least is not None:
            given[side == part] = sure[side == part] >= least
    return Abstention(
        wanted=wanted,
        threshold=_least(sure, hits, wanted),
        precision=float(hits[given].mean()) if given.any() else None,
        coverage=float(given.mean()) if len(given) else 0.0,
    )


def _least(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], wanted: float
) -> float | None:
    order = np.argsort(-confidence, kind="stable")
    ranked, hits = confidence[order], right[order]
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    # equally confident examples are given a label together or not at all
    last = np.append(ranked[1:] < ranked[:-1], True)[: len(ranked)]
    reached = np.flatnonzero(last & (precision >= wanted))
    return float(ranked[reached[-1]]) if len(reached) else None


TEACHER_ALONE, CHANNEL = "teacher", "channel"
OPINIONS = {
    TEACHER_ALONE: "the teacher",
    CHANNEL: "the teacher, asked the other way round",
    "students": "the students of the labels alone",
    "embeddings": "a regression on embeddings",
}
"""Whose opinion of a label may count, and in which order their weights are."""


class Opinion(BaseModel):
    """What somebody's labels are worth on dev.

    Attributes:
        name: One of :data:`OPINIONS`.
        dev_score: The score of that opinion alone, calibrated, as in :class:`Assessment`.
        weight: Its weight in the labels that are given; None where it is not heard.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    name: str
    dev_score: float
    weight: float | None = None


class Committee(BaseModel):
    """Whose opinions make a label, and how much each counts.

    Attributes:
        heard: Names, as in :data:`OPINIONS`.
        calibration: Their weights, in this order, and a bias for each label.
        abstention: Below which confidence they give no label, where a precision is required.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    heard: tuple[str, ...]
    calibration: Calibration
    abstention: Abstention | None = None


class Assessment(BaseModel):
    """How good the teacher is on dev, and whether its confidence can be believed.

    Attributes:
        metric: The task's metric; scores are in [0, 1].
        dev_examples: How many dev examples there are.
        teacher: Description of the model that teaches.
        dev_score: Its score; of a classifier after calibration, each half of dev being scored with
            the calibration that was fitted on the other half.
        labels_dev_score: In the same way the score of the labels that are given, where others than
            the teacher, as it is asked first, have a say in them; else None.
        tuned_dev_score: The score of the tuned teacher where another model teaches; else None.
        untuned_dev_score: The score of the model the tuned teacher was made from.
        baseline_dev_score: Mean score of the students trained on the real examples alone.
        gain_low: Lower end of the 95% interval of the score of what is taught minus that of the
            baseline, in points; None in assessments of versions without an interval.
        gain_high: Its upper end.
        passed: Whether the model may teach: what it teaches is not shown to be worse than the
            baseline.
        label_prior: Probability of each label on inputs without content; empty for text outputs.
        calibration: Weights and biases fitted on all of dev; None for text outputs and sets.
        label_sets: The same of each label, and its threshold, where outputs are sets of labels.
        opinions: Whose opinions of a label there were; empty where the teacher alone was asked, and
            in assessments of versions that did not list them.
        written: Who labels the inputs that the teacher writes, where that is not who labels real
            ones; else None.
        baseline: Digest of the baseline's students, where their opinion or that of the regression
            beside them counts; else empty.
        abstention: Below which confidence no label is given, where a precision is required.
        ece_before: Expected calibration error of the raw distribution.
        ece_after: The same after calibration, on the halves as above.
        bins_before: The reliability diagram of the raw distribution.
        bins_after: The same after calibration.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    metric: str
    dev_examples: int
    teacher: str = "the fine-tuned teacher"
    dev_score: float
    labels_dev_score: float | None = None
    tuned_dev_score: float | None = None
    untuned_dev_score: float
    baseline_dev_score: float
    gain_low: float | None = None
    gain_high: float | None = None
    passed: bool
    label_prior: dict[str, float] = {}
    calibration: Calibration | None = None
    label_sets: LabelSetCalibration | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    opinions: tuple[Opinion, ...] = ()
    written: Committee | None = None
    baseline: str = ""
    abstention: Abstention | None = None
    ece_before: float | None = None
    ece_after: float | None = None
    bins_before: list[ReliabilityBin] = []
    bins_after: list[ReliabilityBin] = []

    @property
    def tuned(self) -> float:
        """Score of the tuned teacher, whether it teaches or not."""
        return self.dev_score if self.tuned_dev_score is None else self.tuned_dev_score

    @property
    def heard(self) -> tuple[str, ...]:
        """Whose opinions make the labels, in the order of the calibration's weights."""
        if self.opinions:
            return tuple(each.name for each in self.opinions if each.weight is not None)
        return (TEACHER_ALONE, "students") if self.baseline else (TEACHER_ALONE,)

    def committee(self, *, of_written: bool = False) -> Committee | None:
        """Return who labels real inputs, or those that the teacher writes; None without labels."""
        if of_written and self.written is not None:
            return self.written
        if self.calibration is None:
            return None
        return Committee(heard=self.heard, calibration=self.calibration, abstention=self.abstention)

    @property
    def taught_dev_score(self) -> float:
        """Score of what is taught: of the labels that are given, or of the teacher's outputs."""
        return self.dev_score if self.labels_dev_score is None else self.labels_dev_score
