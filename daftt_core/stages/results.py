"""What stages hand on to Kubeflow: references to each other, and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

__all__ = ["numbers", "references"]


def references(texts: Iterable[str]) -> dict[str, str]:
    """Return stage names and digests from what :attr:`StageResult.reference` made of them."""
    pairs = (text.rpartition("@") for text in texts)
    return {name: digest for name, _, digest in pairs}


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
