"""Sets of labels: the threshold of each label, and the decisions about labels that make a set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from daftt_core.evaluation.calibration import LabelSetCalibration, fit_calibration
from daftt_core.records import seed_for
from daftt_core.tasks import Task

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.bool_]

EVEN = 0.5
"""The threshold of a label that dev says too little about."""

LEAST_EXAMPLES = 5
"""Examples of a label on which its threshold is chosen, at least."""


_NEARLY = 1e-12  # equal quotients may differ in their last digits


def label_matrix(task: Task, outputs: Sequence[str]) -> Matrix:
    """Return which labels each output holds, shape [examples, labels]."""
    held = [set(task.labels_of(output)) for output in outputs]
    return np.array([[label in each for label in task.label_names] for each in held], dtype=bool)


def probability_matrix(task: Task, distributions: Sequence[Mapping[str, float]]) -> Floats:
    """Return the probability of each label, shape [examples, labels]."""
    rows = [[probs[label] for label in task.label_names] for probs in distributions]
    return np.array(rows, dtype=np.float64)


def outputs_of(task: Task, matrix: Matrix) -> list[str]:
    """Return the outputs that hold these labels, the reverse of :func:`label_matrix`."""
    names = np.array(task.label_names, dtype=object)
    return [task.output_of(names[row].tolist()) for row in matrix]


def choose_thresholds(probs: Floats, gold: Matrix) -> tuple[float, ...]:
    """Choose the probability from which each label is given, so that its F1 is greatest.

    A threshold lies half way between two probabilities that occur; of equally good ones it is the
    one closest to a half. Where fewer than :data:`LEAST_EXAMPLES` examples have the label it is a
    half: the best threshold of a rare label is mostly chance, and may give it to everything (Y.
    Yang, "A study of thresholding strategies for text categorization", SIGIR 2001).

    Args:
        probs: Shape [examples, labels].
        gold: Whether the label applies, same shape.
    """
    return tuple(map(_best_threshold, probs.T, gold.T))


def _best_threshold(probs: Floats, gold: Matrix) -> float:
    if gold.sum() < LEAST_EXAMPLES:
        return EVEN
    order = np.argsort(-probs, kind="stable")
    ranked, hits = probs[order], gold[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + gold.sum())
    f1[:-1][ranked[1:] == ranked[:-1]] = -1.0  # equal probabilities are given the label together
    middles = (ranked + np.append(ranked[1:], 0.0)) / 2
    best = np.flatnonzero(f1 >= f1.max() - _NEARLY)
    return float(middles[best[np.abs(middles[best] - EVEN).argmin()]])


def halves(seed: int, ids: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return the half of dev, 0 or 1, that each example is in, drawn by the run's seed."""
    return np.array([seed_for(seed, "calibration", each) % 2 for each in ids], dtype=np.int64)


def decide_in_halves(probs: Floats, gold: Matrix, half: npt.NDArray[np.int64]) -> Matrix:
    """Decide about each label, in each half with the thresholds chosen on the other half.

    Chosen and judged on the same examples, thresholds would look a little too good.

    Args:
        probs: Shape [examples, labels].
        gold: Whether the label applies, same shape.
        half: What :func:`halves` returns.
    """
    decided = np.zeros_like(gold)
    for judged in (half == 0, half == 1):
        if judged.any():
            thresholds = choose_thresholds(probs[~judged], gold[~judged])
            decided[judged] = probs[judged] >= thresholds
    return decided


def fit_label_sets(log_odds: Floats, gold: Matrix) -> LabelSetCalibration:
    """Fit each label's calibration, as that of two labels, and choose its threshold.

    Args:
        log_odds: Of the answer yes, shape [examples, labels].
        gold: Whether the label applies, same shape.

    Raises:
        ValueError: There is no example, a number is NaN, or the shapes do not agree.
    """
    by_label = tuple(
        fit_calibration([np.stack([np.zeros_like(odds), odds], axis=1)], applies)
        for odds, applies in zip(log_odds.T, gold.T, strict=True)
    )
    fitted = LabelSetCalibration(by_label=by_label, thresholds=(EVEN,) * len(by_label))
    thresholds = choose_thresholds(fitted.apply(log_odds), gold)
    return fitted.model_copy(update={"thresholds": thresholds})


def label_decisions(probs: Floats, gold: Matrix) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the decisions about each label as a classification of no and yes.

    Args:
        probs: Shape [examples, labels].
        gold: Whether the label applies, same shape.

    Returns:
        Probabilities of no and yes, shape [examples * labels, 2], and the right one's index.
    """
    yes = probs.reshape(-1)
    return np.stack([1 - yes, yes], axis=1), gold.reshape(-1).astype(np.int64)


def majority_of_labels(decisions: Matrix, probs: Floats) -> Matrix:
    """Return the labels that most seeds give to each example.

    Args:
        decisions: Shape [seeds, examples, labels].
        probs: Probability of each label, same shape; where as many seeds give a label as do not,
            it is given from a mean probability of a half on.

    Returns:
        Shape [examples, labels].
    """
    votes = decisions.mean(axis=0)
    return np.asarray(np.where(votes == EVEN, probs.mean(axis=0) >= EVEN, votes > EVEN))
