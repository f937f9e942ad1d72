"""Measures whether confidences can be believed, fixes them, and chooses the least one to accept.

The teacher's confidence decides which of its labels are kept, so it must mean what it says: of
the labels given with 0.8, four in five should be right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Floats = npt.NDArray[np.float64]

_LEAST_LOG_PROBABILITY = -700.0  # exp() of less is 0.0, and -inf has no gradient
_LOG_TEMPERATURE_BOUND = 5.0  # temperatures from 0.007 to 148


class Calibration(BaseModel):
    """A temperature and one bias per label: ``softmax(log_probs / temperature + bias)``.

    Attributes:
        temperature: Above 1 it makes the probabilities less extreme, below 1 more.
        bias: Added to each label's logit, in label order; sums to zero when fitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(default=1.0, gt=0)
    bias: tuple[float, ...]

    def apply(self, log_probs: npt.ArrayLike) -> Floats:
        """Return calibrated probabilities.

        Args:
            log_probs: Log-probabilities or logits, shape [examples, labels].

        Returns:
            Probabilities of the same shape; each row sums to 1.
        """
        from scipy.special import softmax

        logits = _checked(log_probs)
        if logits.shape[1] != len(self.bias):
            raise ValueError(f"{logits.shape[1]} labels, but there are {len(self.bias)} biases")
        return np.asarray(softmax(logits / self.temperature + np.asarray(self.bias), axis=1))


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


def fit_temperature_and_bias(log_probs: npt.ArrayLike, gold: npt.ArrayLike) -> Calibration:
    """Fit the temperature and biases that make held-out labels most likely.

    This is vector scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks",
    section 4.2) with one slope for all labels. A standard normal prior on the log-temperature and
    on each bias keeps the fit finite where few examples are given or all of them are right; it
    weighs as much as a single example does, so it fades as examples are added.

    Args:
        log_probs: Log-probabilities or logits, shape [examples, labels].
        gold: Index of the true label, shape [examples].

    Raises:
        ValueError: There is no example, a number is NaN, or the shapes do not agree.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    logits, truth = _checked(log_probs), np.asarray(gold, dtype=np.int64)
    _check_gold(logits, truth)
    count, labels = logits.shape
    one_hot = np.eye(labels)[truth]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        log_temperature, bias = parameters[0], parameters[1:]
        scaled = logits / np.exp(log_temperature)
        log_probabilities = log_softmax(scaled + bias, axis=1)
        error = np.exp(log_probabilities) - one_hot
        gradient = np.concatenate(([-(error * scaled).sum()], error.sum(axis=0))) + parameters
        value = -(log_probabilities * one_hot).sum() + 0.5 * parameters @ parameters
        return float(value) / count, gradient / count

    bounds = [(-_LOG_TEMPERATURE_BOUND, _LOG_TEMPERATURE_BOUND)] + [(None, None)] * labels
    fit: Any = minimize(loss, np.zeros(labels + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    return Calibration(temperature=float(np.exp(fit.x[0])), bias=tuple(map(float, fit.x[1:])))


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


def _checked(log_probs: npt.ArrayLike) -> Floats:
    table = np.asarray(log_probs, dtype=np.float64)
    if table.ndim != 2 or np.isnan(table).any():
        raise ValueError(f"log_probs: shape {table.shape}, must be [examples, labels] without NaN")
    return np.asarray(np.maximum(table, _LEAST_LOG_PROBABILITY))


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


class Assessment(BaseModel):
    """How good the teacher is on dev, and whether its confidence can be believed.

    Attributes:
        metric: The task's metric; scores are in [0, 1].
        dev_examples: How many dev examples there are.
        teacher: Description of the model that teaches.
        dev_score: Its score; of a classifier after calibration, each half of dev being scored with
            the calibration that was fitted on the other half.
        tuned_dev_score: The score of the tuned teacher where another model teaches; else None.
        untuned_dev_score: The score of the model the tuned teacher was made from.
        baseline_dev_score: Mean score of the students trained on the real examples alone.
        gain_low: Lower end of the 95% interval of the score minus that of the baseline, in points;
            None in assessments of versions without an interval.
        gain_high: Its upper end.
        passed: Whether the model may teach: it is not shown to be worse than the baseline.
        label_prior: Probability of each label on inputs without content; empty for text outputs.
        calibration: Temperature and biases fitted on all of dev; None for text outputs.
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
    tuned_dev_score: float | None = None
    untuned_dev_score: float
    baseline_dev_score: float
    gain_low: float | None = None
    gain_high: float | None = None
    passed: bool
    label_prior: dict[str, float] = {}
    calibration: Calibration | None = None
    abstention: Abstention | None = None
    ece_before: float | None = None
    ece_after: float | None = None
    bins_before: list[ReliabilityBin] = []
    bins_after: list[ReliabilityBin] = []

    @property
    def tuned(self) -> float:
        """Score of the tuned teacher, whether it teaches or not."""
        return self.dev_score if self.tuned_dev_score is None else self.tuned_dev_score
