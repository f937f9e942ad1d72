"""The students more closely: other metrics, calibration, single labels, and slices of the test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from daftt_core.evaluation import (
    GOLD_ARM,
    MOST_VALUES,
    REAL_ARM,
    SMALL,
    Evaluation,
    Interval,
    Slice,
)
from daftt_core.reporting.figures import draw_reliability
from daftt_core.reporting.text import NONE, coverage, gain, metric_title, number, percent

__all__ = ["class_scores", "measures", "slices"]

_TITLES = {"class": "By true label", "length": "By length of the input"}


def measures(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """Every metric of every arm, and how far the students' confidences can be believed."""
    if evaluation is None or not any(arm.metrics for arm in evaluation.arms):
        return None
    names = list(evaluation.arms[0].metrics)
    calibrated = any(arm.expected_calibration_error is not None for arm in evaluation.arms)
    rows = []
    for arm in evaluation.arms:
        cells = [percent(arm.metrics.get(name)) for name in names]
        if calibrated:
            error = arm.expected_calibration_error
            cells.append(NONE if error is None else f"{error:.3f}")
        rows.append({"name": arm.arm, "best": arm.arm == evaluation.chosen_arm, "cells": cells})
    heads = [metric_title(name) for name in names]
    return {
        "heads": [*heads, "calibration error"] if calibrated else heads,
        "rows": rows,
        **_reliability(evaluation),
    }


def _reliability(evaluation: Evaluation) -> dict[str, Any]:
    shown = dict.fromkeys((REAL_ARM, evaluation.chosen_arm))
    lines = [(name, evaluation.arm(name).reliability) for name in shown]
    if not all(bins for _, bins in lines):
        return {"reliability": ""}
    title = "How often the students are right at each confidence"
    drawn = draw_reliability(lines, title, "student-reliability")
    return {"reliability": Markup(drawn)}  # noqa: S704  (arms and numbers, escaped by the writer)


def class_scores(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """Precision, recall and F1 of every label, for real only, the chosen arm and gold."""
    if evaluation is None:
        return None
    wanted = (REAL_ARM, evaluation.chosen_arm, GOLD_ARM)
    arms = [arm for arm in evaluation.arms if arm.arm in wanted and arm.per_class]
    if not arms:
        return None
    rows = []
    for label in evaluation.labels:
        found = [arm.per_class[label] for arm in arms]
        cells = [percent(value) for one in found for value in (one.precision, one.recall, one.f1)]
        rows.append({"label": label, "support": number(found[0].support), "cells": cells})
    return {"arms": [arm.arm for arm in arms], "rows": rows}


def slices(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """The arms on parts of the test examples, one table for each way to cut them."""
    if evaluation is None or not evaluation.slices:
        return None
    titles = {**_TITLES, "column": f"By {evaluation.slice_column}"}
    ways = dict.fromkeys(part.by for part in evaluation.slices)
    return {
        "explanation": _slicing(evaluation, ways),
        "arms": [arm.arm for arm in evaluation.arms],
        "tables": [
            {
                "name": titles[way],
                "rows": _rows([part for part in evaluation.slices if part.by == way]),
            }
            for way in ways
        ],
    }


def _slicing(evaluation: Evaluation, ways: Iterable[str]) -> str:
    """What the cells show, and the rules by which the test examples are cut."""
    sentences = [
        f"Each cell is an arm's {metric_title(evaluation.metric)} on those test examples alone, in "
        f"percent; below it its gain over real only in points with the "
        f"{coverage(evaluation.confidence)} interval, which resamples the slice's examples and the "
        "seeds.",
        "\u25b2 and \u25bc mark intervals that exclude zero; they are not corrected for the number "
        "of slices, so some are marked by chance.",
    ]
    if "length" in ways:
        sentences.append("Lengths are cut at the terciles of the test examples.")
    if "column" in ways:
        sentences.append(
            f"Of the column\u2019s values the {MOST_VALUES} with most examples are shown and all "
            "others together; a value is cut after 60 characters."
        )
    return " ".join([*sentences, f"A slice of fewer than {SMALL} examples is marked as small."])


def _rows(parts: Sequence[Slice]) -> list[dict[str, Any]]:
    return [
        {
            "name": part.name,
            "examples": number(part.examples),
            "is_small": part.is_small,
            "cells": [
                {
                    "score": percent(one.score),
                    "gain": "" if one.gain is None else gain(one.gain),
                    "interval": one.interval and (gain(one.interval.low), gain(one.interval.high)),
                    "mark": _mark(one.interval),
                }
                for one in part.arms
            ],
        }
        for part in parts
    ]


def _mark(interval: Interval | None) -> str:
    if interval is None or not interval.excludes_zero:
        return ""
    return "\u25b2" if interval.low > 0 else "\u25bc"
