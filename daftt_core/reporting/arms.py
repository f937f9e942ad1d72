"""How the arms compare: the headline, the table, and the confusion matrices."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from daftt_core.evaluation import GOLD_ARM, REAL_ARM, ArmResult, Evaluation, Interval
from daftt_core.reporting.content import ReportData
from daftt_core.reporting.figures import draw_arms
from daftt_core.reporting.text import (
    coverage,
    gain,
    metric_title,
    number,
    p_value,
    percent,
    score,
    share,
)

__all__ = ["arms", "confusion", "headline", "matrices"]

_VERDICT = ("tone", "badge", "verdict")


def headline(data: ReportData) -> dict[str, Any]:
    """The result in words, how sure it is, and its three numbers."""
    evaluation = data.evaluation
    if evaluation is None:
        return _without_result(data)
    best = evaluation.arm(evaluation.chosen_arm)
    title, metric = evaluation.headline.removesuffix("."), evaluation.metric
    numbers = [(f"{metric_title(metric)}, {best.arm}", score(best.mean, metric))]
    view: dict[str, Any] = {"title": title, "numbers": numbers}
    compared = best.comparison
    if compared is None:
        verdict = ("neutral", "No gain shown", "On dev, no arm was better than real examples only.")
        return view | dict(zip(_VERDICT, verdict, strict=True))
    numbers.append(("points over real only", gain(compared.gain)))
    if compared.gap_closed is not None:
        numbers.append(("of the gap to gold closed", share(compared.gap_closed)))
    sure = (
        f"The {coverage(evaluation.confidence)} interval of the gain, {_words(compared.interval)},"
    )
    if not compared.significant:
        verdict = ("neutral", "No gain shown", f"{sure} includes zero.")
    elif compared.gain > 0:
        verdict = ("good", "\u25b2 Gain shown", f"{sure} excludes zero.")
    else:
        verdict = ("bad", "\u25bc Loss shown", f"{sure} excludes zero.")
    return view | dict(zip(_VERDICT, verdict, strict=True))


def _without_result(data: ReportData) -> dict[str, Any]:
    failed = next((stage for stage in data.missing if stage.failed), None)
    if data.untrained:
        title = data.untrained.removesuffix(".")
        said = ("neutral", "No training", "The champion stays as it is.")
        return {"title": title, "numbers": []} | dict(zip(_VERDICT, said, strict=True))
    if data.stopped_by_gate:
        title = "Stopped by the gate: the teacher is no better than the student it was to teach"
        badge = "No result"
    elif failed is not None:
        title, badge = f"The run failed in {failed.name}", "Failed"
    else:
        title, badge = "The run has no result yet", "Unfinished"
    verdict = failed.reason if failed else "The students were not evaluated."
    tone = "bad" if failed else "warn"
    return {"title": title, "numbers": []} | dict(
        zip(_VERDICT, (tone, badge, verdict), strict=True)
    )


def _words(interval: Interval) -> str:
    return f"{gain(interval.low)} to {gain(interval.high)} points"


def arms(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """The table and the plot of all arms."""
    if evaluation is None:
        return None
    compared = [arm.comparison for arm in evaluation.arms if arm.comparison]
    sure, metric = coverage(evaluation.confidence), metric_title(evaluation.metric)
    drawn = draw_arms(evaluation, f"{metric} of each arm on the test examples")
    return {
        "figure": Markup(drawn),  # noqa: S704  (its text is escaped by the XML writer)
        "explanation": (
            f"Each arm is {len(evaluation.seeds)} students, trained with the same seeds and asked "
            f"the same {number(evaluation.test_examples)} test examples. The arm in bold, "
            f"{evaluation.chosen_arm}, was chosen on dev, before the test scores were known."
        ),
        "figure_note": (
            f"Bar: {sure} interval of the mean over seeds and test examples. "
            "Dotted line: mean of real examples only."
        ),
        "caption": (
            f"Scores on test ({metric}), in percent; gains in points; small print: {sure} intervals"
        ),
        "rows": [_row(arm, arm.arm == evaluation.chosen_arm) for arm in evaluation.arms],
        "has_mcnemar": any(comparison.mcnemar_p_holm is not None for comparison in compared),
        "has_gold": any(comparison.gap_closed is not None for comparison in compared),
    }


def _row(arm: ArmResult, best: bool) -> dict[str, Any]:
    compared = arm.comparison
    return {
        "name": arm.arm,
        "best": best,
        "examples": number(sum(arm.training_examples.values())),
        "mean": percent(arm.mean),
        "mean_interval": (percent(arm.interval.low), percent(arm.interval.high)),
        "deviation": percent(arm.sd),
        "gain": gain(compared.gain if compared else None),
        "gain_interval": (
            (gain(compared.interval.low), gain(compared.interval.high)) if compared else None
        ),
        "p_value": p_value(compared.mcnemar_p_holm if compared else None),
        "gap_closed": share(compared.gap_closed if compared else None),
    }


def confusion(evaluation: Evaluation, arm: str) -> tuple[list[str], list[list[int]]]:
    """An arm's confusion matrix, all seeds together.

    Returns:
        The labels, and the counts: rows the true label, columns the student's answer. Both are
        empty for text outputs.
    """
    return list(evaluation.labels), [list(row) for row in evaluation.arm(arm).confusion]


def matrices(evaluation: Evaluation | None) -> list[dict[str, Any]]:
    """The confusion matrices of real only, the chosen arm and gold, where there are any."""
    if evaluation is None:
        return []
    wanted = (REAL_ARM, evaluation.chosen_arm, GOLD_ARM)
    return [
        _matrix(evaluation, arm.arm)
        for arm in evaluation.arms
        if arm.arm in wanted and arm.confusion
    ]


def _matrix(evaluation: Evaluation, arm: str) -> dict[str, Any]:
    labels, counts = confusion(evaluation, arm)
    rows = []
    for label, row in zip(labels, counts, strict=True):
        whole = sum(row) or 1
        cells = [
            {
                "count": number(count),
                "share": round(count / whole, 4),
                "percent": share(count / whole),
                "right": answer == label,
            }
            for answer, count in zip(labels, row, strict=True)
        ]
        rows.append({"label": label, "cells": cells})
    return {"arm": arm, "labels": labels, "rows": rows}
