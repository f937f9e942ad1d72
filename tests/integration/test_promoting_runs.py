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

from components.promote import promote as component
from daftt_core.config import Config
from daftt_core.data import prepare
from daftt_core.evaluation import evaluate
from daftt_core.preflight import preflight, resolve
from daftt_core.records import Example, SyntheticExample, read_jsonl, write_jsonl
from daftt_core.registry import TaskRegistry, read_decision
from daftt_core.reporting import write_report
from daftt_core.student import predict_test, train_arm
from daftt_core.workspace import Run, read_stage, run_stage


def trained(folder: Path, name: str, **settings: object) -> tuple[Run, Config]:
    """A run up to its report; a perfect teacher has labelled its inputs."""
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


class Metrics:
    """Takes what a component logs."""

    def __init__(self) -> None:
        self.logged: dict[str, float] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


def promoted(folder: Path, run: Run, config: Config) -> tuple[bool, str, dict[str, float], str]:
    """What the component hands on: its outputs, its metrics, and the report."""
    metrics, note, page = Metrics(), folder / "decision.md", folder / "page.html"
    flag, reason = component.python_func(
        run=run.uri,
        settings=preflight(config, run).digest,
        evaluation=read_stage(run, "evaluation")[1].digest,
        report=write_report(run).digest,
        images={"train": "daftt/train@sha256:" + "0" * 64},
        metrics=metrics,
        decision=SimpleNamespace(path=str(note)),
        page=SimpleNamespace(path=str(page)),
    )
    assert note.read_text().strip()
    return flag, reason, metrics.logged, page.read_text()


@pytest.mark.slow
def test_a_run_promotes_and_a_worse_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("DAFTT_USER", "ann")
    good, config = trained(tmp_path, "good")
    flag, reason, metrics, page = promoted(tmp_path, good, config)
    assert flag, reason
    decision = read_decision(good)
    assert metrics["promoted"] == 1
    assert metrics["score"] == decision.score > 0.9
    assert "Promoted</span>" in page
    assert f"({decision.version}) is the first champion" in page
    folder = tmp_path / "runs" / "registry" / "meals" / "versions" / decision.version
    card = ModelCard.load(folder / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.eval_results[0].metric_value == pytest.approx(decision.score, abs=1e-4)
    assert str(tmp_path) not in card.content
    assert "daftt/train@sha256:000" in card.content

    poor, config = trained(tmp_path, "poor", student_epochs=1, student_min_steps=0,
                           student_learning_rate=1e-6)  # fmt: skip
    flag, reason, metrics, page = promoted(tmp_path, poor, config)
    assert not flag
    assert metrics["promoted"] == 0
    assert reason.startswith("Not promoted: ")
    assert f"over champion {decision.version}, which is not shown to be above 0" in reason
    assert "Not promoted</span>" in page
    found = read_decision(poor)
    assert found.gain is not None
    assert found.champion_score == decision.score, "the same test examples, the same model"
    assert found.gain < -10
    ledger = TaskRegistry(str(tmp_path / "runs" / "registry"), "meals").read()
    assert ledger.champion == decision.version
    assert [(event.action, event.by) for event in ledger.events] == [
        ("promoted", "ann"),
        ("refused", "ann"),
    ]


def test_promotion_that_is_not_asked_for_does_nothing(tmp_path: Path) -> None:
    config = toy_config(tmp_path, promotion_enabled=False, name="one")
    run = resolve(config)
    settings = preflight(config, run).digest
    report = write_report(run)
    note, page = tmp_path / "note.md", tmp_path / "page.html"
    outputs = component.python_func(
        *(run.uri, settings, "", report.digest, {}, Metrics()),
        *(SimpleNamespace(path=str(note)), SimpleNamespace(path=str(page))),
    )
    assert outputs == (False, "Not asked for (promotion_enabled).")
    assert not (tmp_path / "runs" / "registry").exists()
