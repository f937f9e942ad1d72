"""Ways of fine-tuning: packed or padded, all weights or LoRA, to the best epoch or divergence."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_llama
from toy_run import toy_config, train_once
from toy_task import vocabulary
from transformers import AutoModelForCausalLM

from daftt_core.errors import TrainingError
from daftt_core.modeling import load_causal_lm
from daftt_core.preflight import resolve
from daftt_core.teacher.callbacks import EXPLODED, ExplosionRule
from daftt_core.teacher.checkpoints import CommitCheckpoints


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def curve(folder: Path, name: str) -> list[float]:
    history = json.loads((folder / "history.json").read_text())
    return [entry[name] for entry in history if name in entry]


@pytest.mark.parametrize("architecture", ["gpt_neox", "llama"])
def test_packing_does_not_change_what_is_learned(tmp_path: Path, architecture: str) -> None:
    settings: dict[str, object] = {"teacher_epochs": 2, "teacher_precision": "float32"}
    if architecture == "llama":
        llama = tiny_llama(tmp_path / "llama", vocabulary(), tied=True)
        settings["teacher_model"] = str(llama)
    packed, _ = train_once(toy_config(tmp_path, name="packed", **settings))
    padded, _ = train_once(toy_config(tmp_path, name="padded", teacher_packing=False, **settings))
    for name in ("loss", "dev_loss"):
        assert curve(packed, name) == pytest.approx(curve(padded, name), abs=1e-4)
    one, _ = load_causal_lm(packed)
    other, _ = load_causal_lm(padded)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0)


def test_a_model_that_cannot_be_packed_is_padded_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("daftt_core.teacher.packing.EXACT", ("llama",))
    with caplog.at_level(logging.INFO, logger="daftt"):
        train_once(toy_config(tmp_path, teacher_epochs=1))
    assert "padded, not packed: for models of type gpt_neox" in caplog.text


def test_lora_learns_and_ends_as_plain_weights(tmp_path: Path) -> None:
    config = toy_config(
        tmp_path, teacher_method="lora", teacher_learning_rate=2e-2, teacher_epochs=8
    )
    folder, result = train_once(config)
    losses = curve(folder, "loss")
    assert losses[-1] < losses[0] - 0.5  # the frozen embeddings are random, so it is slow
    assert not list(folder.glob("adapter*"))
    plain = AutoModelForCausalLM.from_pretrained(folder)
    before, _ = load_causal_lm(config.teacher.model)
    assert plain.num_parameters() == before.num_parameters() == result.summary["parameters"]
    changed = {
        name.rpartition(".")[0].rpartition(".")[2]
        for (name, one), other in zip(plain.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert changed == {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}


class _InterruptedError(Exception):
    """What stands for the end of the process."""


@pytest.mark.parametrize("method", ["full", "lora"])
def test_an_interrupted_training_remembers_what_was_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    settings: dict[str, object] = {
        "teacher_method": method,
        "teacher_epochs": 3,
        "teacher_learning_rate": 2e-2,
        "teacher_checkpoint_steps": 5,
    }
    undisturbed, expected = train_once(toy_config(tmp_path, name="undisturbed", **settings))
    config = toy_config(tmp_path, name="interrupted", **settings)
    save = CommitCheckpoints.on_save

    def interrupt(self: CommitCheckpoints, args, state, control, **rest: object) -> None:
        save(self, args, state, control, **rest)
        if state.global_step == 10:  # after the first epoch's end, which is step 8
            raise _InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(CommitCheckpoints, "on_save", interrupt)
        with pytest.raises(_InterruptedError):
            train_once(config)
    kept = resolve(config).folder / "teacher" / ".checkpoints"
    assert [path.name for path in kept.glob("best-*")] == ["best-8"]
    weights = kept / "checkpoint-10" / "adapter_model.safetensors"
    assert weights.exists() == (method == "lora")
    resumed, result = train_once(config)
    assert curve(resumed, "loss") == pytest.approx(curve(undisturbed, "loss"), abs=1e-6)
    assert result.summary == expected.summary
    one, _ = load_causal_lm(undisturbed)
    other, _ = load_causal_lm(resumed)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_the_best_epoch_is_kept_and_training_stops_when_none_better_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, object] = {
        "teacher_learning_rate": 2e-2,
        "data_labelled_count": 8,
        "teacher_batch_size": 4,
        "teacher_precision": "float32",
    }
    config = toy_config(tmp_path, teacher_epochs=40, teacher_patience=2, **settings)
    with caplog.at_level(logging.INFO, logger="daftt"):
        folder, result = train_once(config)
    dev = curve(folder, "dev_loss")
    assert len(dev) < 40
    best = dev.index(min(dev))
    assert best == len(dev) - 3  # the best one, and two in a row that were not better
    assert result.summary["best_dev_loss"] == min(dev)
    assert result.summary["best_step"] == 4 * (best + 1)
    assert "teacher: stopped early: 2 times in a row" in caplog.text


def test_an_incomplete_last_epoch_is_measured_too(tmp_path: Path) -> None:
    settings = {"data_labelled_count": 5, "teacher_batch_size": 4, "teacher_epochs": 3}
    folder, result = train_once(toy_config(tmp_path, **settings))
    history = json.loads((folder / "history.json").read_text())
    assert [entry["step"] for entry in history if "dev_loss" in entry] == [3, 6, 8]
    assert result.summary["steps"] == 8


def test_a_loss_that_explodes_stops_the_training(tmp_path: Path) -> None:
    config = toy_config(
        tmp_path,
        teacher_learning_rate=0.9,
        teacher_epochs=10,
        teacher_adam_beta2=0.5,
        teacher_max_grad_norm=1000.0,
        teacher_checkpoint_steps=4,
    )
    with pytest.raises(
        TrainingError,
        match=r"teacher: the loss exploded .*at step \d+ \(last good checkpoint: checkpoint-\d+\); "
        r"the usual causes are .*\(teacher_learning_rate is 0\.9\), too few warm-up steps "
        r"\(teacher_warmup_ratio makes 8\)",
    ) as caught:
        train_once(config)
    found = re.search(r"at step (\d+) .*checkpoint-(\d+)", str(caught.value))
    assert found is not None
    assert 0 <= int(found[1]) - int(found[2]) <= 4
    assert int(found[1]) < 40


def test_explosions_are_told_from_bad_starts_and_from_noise_near_zero() -> None:
    def first_alarm(losses: list[float], batch_size: int = 8) -> int | None:
        rule = ExplosionRule(batch_size)
        return next((at for at, loss in enumerate(losses) if rule.exploded(loss)), None)

    assert first_alarm([3.0] * 8 + [EXPLODED * 3.5] * 8) == 14
    assert first_alarm([3.0] * 4 + [9.0] * 12) is not None  # high since the rate has risen
    assert first_alarm([3.0, 3.0] + [10.0] * 40) is None  # bad from the start
    falling = [4.0 * 0.8**step for step in range(40)]
    assert first_alarm([*falling, *[0.01] * 20]) is None  # near zero
    assert first_alarm([*falling, *[5.0] * 8]) == 44
    labels_and_texts = [0.1 if step % 3 else 3.5 for step in range(200)]
    assert first_alarm(labels_and_texts) is None
    assert first_alarm([0.1] * 4 + [3.5] * 200, batch_size=1) is None
