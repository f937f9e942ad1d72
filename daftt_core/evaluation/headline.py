"""The result of an evaluation in one sentence that says no more than was shown."""

from __future__ import annotations

from daftt_core.evaluation.models import GOLD_ARM, REAL_ARM, ArmResult
from daftt_core.tasks import METRICS

__all__ = ["headline"]


def headline(arms: tuple[ArmResult, ...], chosen: ArmResult, metric: str, confidence: float) -> str:
    """Say what the arm that was chosen on dev reaches, and whether that is a gain.

    Args:
        arms: All arms.
        chosen: The arm to speak of.
        metric: The primary metric.
        confidence: Coverage of the intervals.
    """
    reaches = f"reaches {_score(chosen.mean, metric)}"
    if chosen.comparison is None:
        if all(arm.arm in (REAL_ARM, GOLD_ARM) for arm in arms):
            return (
                f"real only {reaches}; there is no arm with synthetic examples to compare it with."
            )
        return f"No gain was shown: real only, which scored best on dev, {reaches}."
    low, high = chosen.comparison.interval.low, chosen.comparison.interval.high
    gain = chosen.comparison.gain
    direction = "above" if gain >= 0 else "below"
    interval = f"{100 * confidence:g}% interval {low:.1f} to {high:.1f}"
    if low > 0:
        return f"{chosen.arm} {reaches}, {gain:.1f} points above real only ({interval})."
    told = f"{chosen.arm}, best on dev, {reaches}, {abs(gain):.1f} points {direction} real only"
    if high < 0:
        return f"A loss was shown: {told} ({interval})."
    return f"No gain was shown: {told}, and the {interval} includes zero."


def _score(mean: float, metric: str) -> str:
    title = METRICS[metric].title
    return f"{mean:.1%} {title}" if metric == "accuracy" else f"{100 * mean:.1f} {title}"
