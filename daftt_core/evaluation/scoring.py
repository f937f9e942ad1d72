"""Scoring by the metrics that :mod:`daftt_core.tasks` names, computed by those of ``metrics``."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from daftt_core.errors import ConfigError, DataError, did_you_mean
from daftt_core.tasks import METRICS, Metric, Task


def metrics_for_task(task: Task) -> list[str]:
    """Return all metrics that serve a task."""
    return [name for name, metric in METRICS.items() if metric.kind == task.kind]


def score(metric: str, predictions: Sequence[str], references: Sequence[str]) -> float:
    """Return the score of a set of predictions.

    Args:
        metric: A name from ``METRICS``.
        predictions: Labels by name, sets of them, or texts.
        references: What they should be, in the same order.

    Returns:
        At most 1, which is perfect.

    Raises:
        ConfigError: There is no such metric.
        DataError: There is nothing to score, the two differ in length, or a score is not finite.
    """
    _find(metric)
    return float(_finite(metric, _compute(metric, predictions, references)))


def score_all(
    task: Task, predictions: Sequence[str], references: Sequence[str]
) -> dict[str, float]:
    """Return the score by every metric that serves the task.

    Arguments and errors as for :func:`score`.
    """
    return {name: score(name, predictions, references) for name in metrics_for_task(task)}


def score_examples(
    metric: str, predictions: Sequence[str], references: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Return the score of each prediction, for a metric that is their mean.

    Arguments and errors as for :func:`score`.

    Returns:
        Shape [examples].
    """
    if not _find(metric).is_mean:
        raise ConfigError(f"metric: {metric} is not a mean over examples and has no score for each")
    return _finite(metric, _compute(metric, predictions, references, per_example=True))


def _finite(metric: str, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return scores as they are, before NaN could pass for one above or below another."""
    numbers = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise DataError(f"{metric}: gives a score that is NaN or infinite")
    return numbers


def _find(name: str) -> Metric:
    if name not in METRICS:
        known = ", ".join(METRICS)
        raise ConfigError(
            f"metric: there is no metric {name!r}{did_you_mean(name, METRICS)} (known: {known})"
        )
    return METRICS[name]


def _compute(
    name: str, predictions: Sequence[str], references: Sequence[str], **options: bool
) -> Any:
    """Compute a metric by the ``evaluate`` library, from the installed package itself.

    ``evaluate.load`` would first copy the file into a cache in the user's home, where a copy that
    was cut short stays broken for good and a read-only home is an error. The class is the same.
    """
    if not predictions or len(predictions) != len(references):
        raise DataError(
            f"{name}: {len(predictions)} predictions and {len(references)} references; there "
            "must be as many of one as of the other, and at least one"
        )
    _import_evaluate()
    metrics = importlib.import_module("daftt_core.evaluation.metrics")
    with tempfile.TemporaryDirectory(prefix="daftt-metric-") as folder:
        metric = metrics.TableMetric(config_name=name, keep_in_memory=True, cache_dir=folder)
        scores = metric.compute(
            predictions=list(predictions), references=list(references), **options
        )
    return scores[name]


def _import_evaluate() -> None:
    """Import ``evaluate`` without the part of it that imports torch.

    It imports transformers, and so torch, for evaluators that are not used here, and does without
    where transformers is not installed; for the length of the import, it seems not to be.
    """
    if "evaluate" in sys.modules:
        return
    hidden = "transformers" not in sys.modules
    if hidden:
        sys.modules["transformers"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("evaluate")
    finally:
        if hidden:
            del sys.modules["transformers"]
