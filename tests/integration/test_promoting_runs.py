"""Trained runs of the toy task: the first makes a champion, a worse one does not take its place."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from toy_run import toy_config

from components.evaluate import evaluate as component
from daftt_core.config import Config
from daftt_core.data import prepare
from daftt_core.evaluation import evaluate
from daftt_core.notifications import ending_of
from daftt_core.preflight import preflight, resolve
from daftt_core.records import Example, SyntheticExample, read_jsonl, write_jsonl
from daftt_core.registry import TaskRegistry, read_decision
from daftt_core.reporting import summarize
from daftt_core.student import predict_test, train_arm
from daftt_core.workspace import Run, read_stage, run_stage


def trained(folder: Path, name: str, **settings: object) -> tuple[Run, Config]:
    """A run up to its evaluation; a perfect teacher has labelled its inputs."""
    config = toy_config(folder, name=name, data_labelled_count=4, data_test_count=120, **settings)
    run = resolve(config)
    preflight(config, run)
    data = prepare(run, config.data)

    def curate(to: Path) -> dict[str, Any]:
        gold = read_jsonl(read_stage(run, "data")[0] / "gold.jsonl", Example)
        made = [SyntheticExample(**one.model_dump(), source="annotated") for one in gold]
        write_jsonl(to / "annotated.jsonl", made)
        write_jsonl(to / "rejected.jsonl", [])
        counts = {"read": len(made), "rejected": {}, "kept": len(made)}
        (to / "funnel.json").write_text(json.dumps({"funnel": {"annotated": counts}}))
        return {}

    curated = run_stage(run, "curated", [], curate)
    arms = {
        arm: train_arm(run, config.student, arm, data.digest, curated.digest).digest
        for arm in ("real", "real+annotated")
    }
    test = data.summary["test_digest"]
    predicted = predict_test(run, config.student, test, arms)
    evaluate(run, config.evaluation, predicted.digest, arms)
    return run, config


class Scores(SimpleNamespace):
    """Takes what the component logs."""

    def log_metric(self, name: str, value: float) -> None:
        setattr(self, name, value)

    def log_confusion_matrix(self, labels: list[str], rows: list[list[int]]) -> None:
        self.labels, self.rows = labels, rows


def judged(folder: Path, run: Run, config: Config, *, promotes: bool = True) -> Any:
    """Run the component on a run whose students are trained; what it hands on."""
    students = [
        f"students/{arm}@{read_stage(run, f'students/{arm}')[1].digest}"
        for arm in ("real", "real+annotated")
    ]
    outputs = {
        name: Scores(path=str(folder / f"{name}.out"), metadata={})
        for name in ("scores", "confusion_matrix", "student", "report")
    }
    outcome = component.python_func(
        run=run.uri,
        settings=preflight(config, run).digest,
        test=read_stage(run, "test")[1].digest,
        baseline=students[0],
        augmented=students[1:],
        promotes=promotes,
        **outputs,
    )
    page = Path(outputs["report"].path).read_text()
    return SimpleNamespace(**outputs | {"outcome": outcome, "page": page})


@pytest.mark.slow
def test_a_run_promotes_and_a_worse_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("DAFTT_USER", "ann")
    monkeypatch.setattr("components.images.IMAGES", {"train": f"daftt/train@sha256:{'0' * 64}"})
    good, config = trained(tmp_path, "good")
    result = judged(tmp_path, good, config)
    decision = read_decision(good)
    assert decision.promoted
    assert decision.reason in result.outcome
    assert result.student.metadata["location"] == f"{good.uri}/students/{decision.arm}"
    assert decision.score > 0.9
    assert result.scores.student_percent > 90
    assert result.confusion_matrix.labels == list(good.task.label_names)
    assert "Promoted</span>" in result.page
    assert f"({decision.version}) is the first champion" in result.page
    folder = tmp_path / "runs" / "registry" / "meals" / "versions" / decision.version
    card = ModelCard.load(folder / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.eval_results[0].metric_value == pytest.approx(decision.score, abs=1e-4)
    assert str(tmp_path) not in card.content
    assert "daftt/train@sha256:000" in card.content

    poor, config = trained(tmp_path, "poor", student_epochs=1, student_min_steps=0,
                           student_learning_rate=1e-6)  # fmt: skip
    result = judged(tmp_path, poor, config)
    assert "Not promoted: " in result.outcome
    assert f"over champion {decision.version}, which is not shown to be above 0" in result.outcome
    assert "Not promoted</span>" in result.page
    found = read_decision(poor)
    assert not found.promoted
    assert found.gain is not None
    assert found.champion_score == decision.score, "the same test examples, the same model"
    assert found.gain < -10
    ledger = TaskRegistry(str(tmp_path / "runs" / "registry"), "meals").read()
    assert ledger.champion == decision.version
    assert [(event.action, event.by) for event in ledger.events] == [
        ("promoted", "ann"),
        ("refused", "ann"),
    ]


@pytest.mark.slow
def test_promotion_that_is_not_asked_for_does_nothing(tmp_path: Path) -> None:
    run, config = trained(tmp_path, "one", promotion_enabled=False)
    for promotes in (True, False):
        assert judged(tmp_path, run, config, promotes=promotes).outcome
        assert not (tmp_path / "runs" / "registry").exists()


@pytest.mark.slow
def test_a_step_that_is_retried_leaves_the_summary_that_its_exit_handler_no_longer_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_POD_NAME", "daftt-abc12-system-container-impl-1234567890")
    run, config = trained(tmp_path, "one", promotion_enabled=False)
    summary = Path(run.uri) / "summary.md"
    judged(tmp_path, run, config)
    assert not summary.exists()  # the exit handler is still to come
    summarize(run, ending_of(run, "FAILED", "a node died", attempt="other"), "daftt-abc12")
    judged(tmp_path, run, config)
    assert summary.read_text().startswith("# A run succeeded")
    summarize(run, ending_of(run, "FAILED", "a node died", attempt="other"), "daftt-other")
    judged(tmp_path, run, config)
    assert summary.read_text().startswith("# A run failed")  # of another attempt
