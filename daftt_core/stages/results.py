"""What stages hand on to Kubeflow: references to each other, and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

from pydantic import BaseModel

__all__ = ["MetricLog", "log_numbers", "numbers", "references", "students_by_arm"]


class MetricLog(Protocol):
    """What takes numbers: a component's ``Metrics``."""

    def log_metric(self, metric: str, value: float) -> None:
        """Keep one number under a name."""


def references(texts: Iterable[str]) -> dict[str, str]:
    """Return stage names and digests from what :attr:`StageResult.reference` made of them."""
    pairs = (text.rpartition("@") for text in texts)
    return {name: digest for name, _, digest in pairs}


def students_by_arm(texts: Iterable[str]) -> dict[str, str]:
    """Return the digest of each arm's students, from references like ``students/real@...``."""
    return {name.removeprefix("students/"): digest for name, digest in references(texts).items()}


def log_numbers(metrics: MetricLog, summary: Mapping[str, object] | BaseModel) -> None:
    """Log every finite number of a stage's result.

    Args:
        metrics: Takes the numbers.
        summary: The result, or its summary.
    """
    values = summary.model_dump(mode="json") if isinstance(summary, BaseModel) else summary
    for name, value in numbers(values).items():
        metrics.log_metric(name, value)


def numbers(summary: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Return the finite numbers of a summary, nested names joined by dots.

    Truth values and whatever is not a number are left out: KFP metrics hold numbers only, and its
    metadata cannot hold NaN.
    """
    finite: dict[str, float] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            finite |= numbers(value, f"{prefix}{name}.")
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            finite[f"{prefix}{name}"] = float(value)
    return finite
