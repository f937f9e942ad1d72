"""The setting that a sweep recommends, chosen on dev, as settings that a run takes.

The rule: of all curves the one that reaches the best score on dev, and on it the saturation point.
Test has no say in it. Where that curve shows no gain over real examples alone, nothing is
recommended.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from daftt_core.config import flat_fields, to_flat
from daftt_core.reporting import text as formats
from daftt_core.sweep.curves import Curve, Part, Point, ratio_name
from daftt_core.sweep.plan import Cell

RECOMMENDED = "recommended.yaml"
_OF_THE_SWEEP = ("name", "output")


class Recommendation(Part):
    """What a sweep recommends.

    Attributes:
        cell: The cell with these settings; None where nothing is recommended.
        arm: The recommended arm; None likewise.
        sentence: The recommendation, and why.
        finding: What was found, in words for a title; empty in a table of an earlier version.
    """

    cell: str | None
    arm: str | None
    sentence: str
    finding: str = ""


def recommend(curves: Sequence[Curve]) -> Recommendation | None:
    """Choose a setting; return None if no cell has a result."""
    if not curves:
        return None
    chosen = max(curves, key=lambda curve: curve.best.dev)
    point = chosen.saturation or chosen.best
    where = f"fraction {chosen.fraction:g}"
    if point.ratio is None:
        return Recommendation(
            cell=None,
            arm=None,
            finding=(
                "No gain is shown on dev where the score is best, at "
                f"{100 * chosen.fraction:g}% of the labels: nothing is recommended"
            ),
            sentence=(
                f"Recommended: nothing. The best score on dev, {formats.percent(chosen.best.dev)}, "
                f"is at {where}, where synthetic examples show no gain over real examples only."
            ),
        )
    why = (
        f"The best score of all on dev is {formats.percent(chosen.best.dev)}, on the same curve; "
        "this is the smallest ratio that is not shown to be worse."
        if chosen.saturation
        else "It has the best score of all on dev."
    )
    mixture = f", {chosen.mixture_tasks} other tasks" if chosen.mixture_tasks else ""
    return Recommendation(
        cell=point.cell,
        arm=chosen.arm,
        finding=_finding(chosen, point),
        sentence=(
            f"Recommended: {where}, ratio {ratio_name(point.ratio)}, mode {chosen.mode}{mixture} "
            f"({chosen.arm}, {formats.percent(point.dev)} on dev). {why} "
            "Test had no say in it."
        ),
    )


def _finding(curve: Curve, point: Point) -> str:
    """Say what the recommended point of a curve reaches, and whether more would be better."""
    examples = (
        f"{point.ratio:g} synthetic examples of each source for each of them"
        if point.ratio
        else "all synthetic examples"
    )
    verdict = "do best" if point is curve.points[-1] else "are enough"
    return (
        f"{100 * curve.fraction:g}% of the labels with {examples} {verdict}: {curve.arm} reaches "
        f"{formats.score(point.dev, curve.metric)} {formats.metric_title(curve.metric)} on dev, "
        f"{100 * (point.dev - curve.real.dev):.1f} points above these labels alone"
    )


def recommended_settings(cell: Cell, recommendation: Recommendation) -> str:
    """Return a cell's settings as YAML for ``daftt run --settings``, without defaults."""
    fields = flat_fields()
    settings = {
        name: value
        for name, value in to_flat(cell.config).items()
        if value != fields[name].default and name not in _OF_THE_SWEEP
    }
    comment = f"# {recommendation.sentence}\n# daftt run --settings {RECOMMENDED}\n"
    return comment + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
