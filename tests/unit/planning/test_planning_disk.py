"""The room on the disk that is asked for is what a run takes at most."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import tiny_bert, tiny_llama
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from daftt_core.config import Config
from daftt_core.planning import disk_bytes

_REST = 100_000_000
_NEOX = {"model": "gpt-neox-20b", "zero_stage": 3}


def _config(**sections: dict[str, object]) -> Config:
    return Config.model_validate(sections)


def test_the_demo_asks_for_what_its_files_take() -> None:
    # teacher/model.safetensors of the demo's run has 538,090,408 bytes and each student's
    # 90,867,952; a checkpoint of its teacher has 1,614,432,307
    measured = 3 * 1_614_432_307 + 538_090_408 + 2 * 3 * 90_867_952
    assert disk_bytes(Config()) - _REST == pytest.approx(measured, rel=0.005)


def test_models_are_counted_by_what_is_in_their_folders(tmp_path: Path) -> None:
    texts = ["good film", "bad film"]
    teacher, student = tiny_llama(tmp_path / "llama", texts), tiny_bert(tmp_path / "bert", texts)
    config = _config(
        teacher={"model": str(teacher), "epochs": 0},
        student={"model": str(student), "seeds": 2, "gold_arm": False},
        synthesis={"mode": "both"},
    )
    large = AutoModelForCausalLM.from_pretrained(teacher).num_parameters()
    small = AutoModelForSequenceClassification.from_pretrained(student).num_parameters()
    assert disk_bytes(config) - _REST == 4 * large + 4 * 2 * 4 * small


def test_lora_keeps_small_checkpoints() -> None:
    full = disk_bytes(_config(teacher={"keep_checkpoints": 5}))
    lora = disk_bytes(_config(teacher={"keep_checkpoints": 5, "method": "lora"}))
    assert lora < full / 4


def test_checkpoints_of_the_20b_teacher_have_the_320_gb_that_the_operators_page_says() -> None:
    one, two = (
        disk_bytes(_config(teacher=_NEOX | {"keep_checkpoints": count})) for count in (1, 2)
    )
    assert two - one == pytest.approx(320e9, rel=0.03)


def test_a_model_that_is_not_here_is_not_counted() -> None:
    away = {"model": "somebody/some-model"}
    assert disk_bytes(_config(teacher=away, student=away)) == _REST
