"""The report's section about the champion: the decision, and what it was decided by."""

from __future__ import annotations

from typing import Any

from daftt_core.reporting.content import PartScores, Promotion
from daftt_core.reporting.provenance import table
from daftt_core.reporting.text import gain, metric_title, number, p_value, percent

__all__ = ["promotion"]


def promotion(found: Promotion | None) -> dict[str, Any] | None:
    """The decision in words, and its tables."""
    if found is None:
        return None
    slices = table(
        "Parts of the test examples: scores in percent",
        "Test examples,Number,Champion,This student,Difference,p,Verdict",
        [_slice(part) for part in found.slices],
        numeric="Number,Champion,This student,Difference,p",
    )
    floors = table(
        "Floors",
        "Metric,Score,Floor,Verdict",
        [[metric_title(part.metric), f"{part.score:.3f}", f"{part.floor:g}",
          "reached" if part.score >= part.floor else "not reached"] for part in found.floors],
        numeric="Score,Floor",
    )  # fmt: skip
    return {
        "tone": "good" if found.promoted else "neutral",
        "badge": "Promoted" if found.promoted else "Not promoted",
        "reason": found.reason.partition(": ")[2],
        "tables": [one for one in (slices, floors) if one["rows"]],
    }


def _slice(part: PartScores) -> list[str]:
    verdict = "falls too far" if not part.passed else "holds" if part.judged else "too few to judge"
    difference = gain(100 * (part.challenger - part.champion))
    scores = [percent(part.champion), percent(part.challenger)]
    return [part.name, number(part.examples), *scores, difference, p_value(part.p), verdict]
