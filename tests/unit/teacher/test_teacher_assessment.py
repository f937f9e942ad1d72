"""The gate: a teacher that is no better than the baseline does not teach unless told to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from completions_server import CompletionsServer
from toy_run import toy_config

from daftt_core.data import prepare
from daftt_core.errors import GateError
from daftt_core.evaluation import Assessment, Calibration
from daftt_core.preflight import resolve
from daftt_core.records import Prediction, read_jsonl
from daftt_core.teacher import assess, train
from daftt_core.workspace import StageResult, run_stage


def judge(folder: Path, baseline_score: float, **settings: object) -> tuple[Path, StageResult]:
    torch.set_num_threads(1)
    config = toy_config(folder, name=f"baseline-{baseline_score}", **settings)
    run = resolve(config)
    data = prepare(run, config.data)
    teacher = train(run, config.teacher, data.digest)
    baseline = run_stage(run, "students/real", [], lambda _: {"dev_scores": [baseline_score] * 2})
    result = assess(
        run, config.teacher, config.synthesis, data.digest, teacher.digest, baseline.digest
    )
    return run.folder / "assessment", result


def test_a_better_teacher_passes_and_is_calibrated(tmp_path: Path) -> None:
    folder, result = judge(tmp_path, 0.3, on_gate_fail="stop")
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert found.passed
    assert found.dev_score > found.untuned_dev_score
    assert found.dev_examples == 24
    assert sum(one.count for one in found.bins_after) == 24
    stored = Calibration.model_validate_json((folder / "calibration.json").read_text())
    assert stored == found.calibration
    assert result.summary["dev_score"] == found.dev_score
    answers = read_jsonl(folder / "dev-predictions.jsonl", Prediction)
    assert len({one.id for one in answers}) == found.dev_examples
    assert sum(one.output == one.gold for one in answers) / 24 == pytest.approx(found.dev_score)
    assert all(max(one.distribution, key=one.distribution.get) == one.output for one in answers)


def test_a_teacher_that_is_not_better_stops_the_run_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        GateError, match=r"24 dev examples .* baseline student's 1\.000; label more"
    ):
        judge(tmp_path, 1.0, on_gate_fail="stop", teacher_epochs=0)
    stored = tmp_path / "runs" / "baseline-1.0" / "assessment" / "assessment.json"
    assert not Assessment.model_validate_json(stored.read_text()).passed
    with pytest.raises(GateError):  # the verdict stands when the same run is tried again
        judge(tmp_path, 1.0, on_gate_fail="stop", teacher_epochs=0)


def test_a_run_can_go_on_all_the_same(tmp_path: Path) -> None:
    _, result = judge(tmp_path, 1.0, on_gate_fail="continue", teacher_epochs=0)
    assert result.summary["passed"] is False


def test_another_model_by_url_is_judged_beside_the_tuned_teacher(tmp_path: Path) -> None:
    with CompletionsServer().running() as server:
        folder, _ = judge(
            tmp_path,
            1.0,
            teacher_epochs=0,
            synthesis_engine="server",
            synthesis_server_url=server.url,
        )
    found = Assessment.model_validate_json((folder / "assessment.json").read_text())
    assert found.teacher == "base, as a server has it"
    # one probe, then each dev example and each of three inputs without content
    assert len(server.bodies) == 1 + 24 + 3
    assert found.tuned_dev_score == found.untuned_dev_score  # no epochs: the same model
    answers = read_jsonl(folder / "dev-predictions.jsonl", Prediction)
    right = sum(one.output == one.gold for one in answers)
    assert right / 24 == pytest.approx(found.tuned_dev_score)  # of the tuned one, not the server's
    assert found.ece_before is not None
