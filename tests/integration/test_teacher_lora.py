"""LoRA by two processes that share the frozen weights, against one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_run import toy_config
from transformers import AutoModelForCausalLM

from daftt_core.config import JobConfig
from daftt_core.data import prepare
from daftt_core.jobs import launcher_for, teacher_request
from daftt_core.preflight import preflight, resolve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def curve(folder: Path, processes: int, zero_stage: int) -> list[float]:
    config = toy_config(
        folder,
        name=f"processes-{processes}",
        teacher_method="lora",
        teacher_learning_rate=2e-2,
        teacher_epochs=2,
        teacher_precision="float32",
        teacher_zero_stage=zero_stage,
    )
    run = resolve(config)
    job = JobConfig(processes_per_node=processes)
    settings, data = preflight(config, run).digest, prepare(run, config.data).digest
    request = teacher_request(run, settings, job, data, "")
    launcher_for(job).launch(request)
    made = run.folder / "teacher"
    AutoModelForCausalLM.from_pretrained(made)
    history = json.loads((made / "history.json").read_text())
    return [entry.get("loss", entry.get("dev_loss")) for entry in history]


def test_two_processes_with_zero_3_learn_what_one_does(tmp_path: Path) -> None:
    one = curve(tmp_path, processes=1, zero_stage=0)
    two = curve(tmp_path, processes=2, zero_stage=3)
    assert len(one) == 18
    assert two == pytest.approx(one, abs=2e-5)
