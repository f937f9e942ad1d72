"""NaN is neither above nor below anything: it must not win a comparison, nor pass one."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError
from scipy import sparse

from daftt_core.errors import DataError
from daftt_core.evaluation import Interval, score, score_all, score_examples, scoring
from daftt_core.evaluation.calibration import (
    Abstention,
    Calibration,
    choose_threshold,
    expected_calibration_error,
)
from daftt_core.evaluation.statistics import sign_flip_p
from daftt_core.records import Prediction, SyntheticExample
from daftt_core.registry.models import FloorCheck, SliceCheck
from daftt_core.retraining.drift import inputs_differ
from daftt_core.tasks import load_task
from daftt_core.telemetry import Usage

NUMBERS = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_metric_may_give_numbers_only(monkeypatch: pytest.MonkeyPatch, number: float) -> None:
    def compute(*_: object, per_example: bool = False) -> object:
        return [1.0, number] if per_example else number

    monkeypatch.setattr(scoring, "_compute", compute)
    said = "accuracy: gives a score that is NaN or infinite"
    with pytest.raises(DataError, match=said):
        score("accuracy", ["a", "b"], ["a", "b"])
    with pytest.raises(DataError, match=said):
        score_examples("accuracy", ["a", "b"], ["a", "b"])
    with pytest.raises(DataError, match="gives a score that is NaN or infinite"):
        score_all(load_task("movie-reviews"), ["a", "b"], ["a", "b"])


_SLICE = {"name": "a", "examples": 9, "champion": 1.0, "challenger": 0.9, "judged": True}
RECORDS: list[tuple[type[BaseModel], dict[str, Any], str]] = [
    (
        Prediction,
        {"id": "1", "arm": "a", "seed": 0, "gold": "x", "output": "x", "distribution": {"x": 1.0}},
        "distribution",
    ),
    (
        SyntheticExample,
        {"id": "1", "text": "t", "source": "annotated", "confidence": 0.5},
        "confidence",
    ),
    (Interval, {"low": 0.0, "high": 1.0}, "low"),
    (FloorCheck, {"metric": "accuracy", "score": 0.5, "floor": 0.1}, "score"),
    (SliceCheck, {**_SLICE, "passed": True}, "challenger"),
    (Calibration, {"weights": [1.0], "bias": [0.0]}, "weights"),
    (Abstention, {"wanted": 0.9, "threshold": 0.5, "precision": 1.0, "coverage": 1.0}, "threshold"),
    (Usage, {"seconds": 1.0}, "seconds"),
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("model", "fields", "name"), RECORDS, ids=[record[0].__name__ for record in RECORDS]
)
def test_what_later_stages_compare_holds_numbers_only(
    model: type[BaseModel], fields: dict[str, Any], name: str, number: float
) -> None:
    assert model.model_validate_json(json.dumps(fields))
    other = {"distribution": {"x": number}, "weights": [number]}.get(name, number)
    with pytest.raises(ValidationError, match="finite number"):
        model.model_validate_json(json.dumps({**fields, name: other}))


def test_statistics_refuse_what_they_could_not_judge() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        sign_flip_p(np.array([1.0, math.nan]), 100, 0)
    with pytest.raises(ValueError, match="without NaN"):
        choose_threshold([0.9, math.nan], [True, True], [0, 1], 0.5)
    with pytest.raises(ValueError, match="without NaN"):
        expected_calibration_error([[0.5, 0.5], [math.nan, 1.0]], [0, 1])


def test_counts_that_are_no_numbers_are_no_drift() -> None:
    old, new = (sparse.csr_array(np.eye(3, 2**14)[[row]]) for row in (0, 1))
    assert 0 < inputs_differ(old, new, 0, 9) <= 1
    new.data[0] = math.nan
    with pytest.raises(DataError, match="counts that are no numbers"):
        inputs_differ(old, new, 0, 9)
