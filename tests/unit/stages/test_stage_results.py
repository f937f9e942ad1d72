"""What stages hand on to Kubeflow."""

from __future__ import annotations

from pydantic import BaseModel

from daftt_core.stages import log_numbers, numbers, students_by_arm


class Metrics:
    def __init__(self) -> None:
        self.logged: dict[str, float] = {}

    def log_metric(self, metric: str, value: float) -> None:
        self.logged[metric] = value


class Result(BaseModel):
    passed: bool = True
    kept: dict[str, int] = {"annotated": 3}
    reason: str | None = None


def test_every_finite_number_is_logged_under_its_path() -> None:
    metrics = Metrics()
    log_numbers(metrics, {"a": 1, "b": {"c": 0.5}, "d": float("nan"), "e": True, "f": "text"})
    assert metrics.logged == {"a": 1.0, "b.c": 0.5}


def test_a_typed_result_logs_what_its_summary_does() -> None:
    metrics = Metrics()
    log_numbers(metrics, Result())
    assert metrics.logged == numbers(Result().model_dump()) == {"kept.annotated": 3.0}


def test_students_are_found_by_their_arm() -> None:
    given = ["students/real@12ab", "students/real+both@34cd"]
    assert students_by_arm(given) == {"real": "12ab", "real+both": "34cd"}
