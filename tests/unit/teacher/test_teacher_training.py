"""Fine-tuning the teacher: what is learned, what is kept, and what survives a kill."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from toy_run import toy_config, train_once

from daftt_core.config import Config, TeacherConfig
from daftt_core.distributed import Group, Rank
from daftt_core.engines import LabelScorer, LocalEngine
from daftt_core.errors import TrainingError
from daftt_core.modeling import load_causal_lm, move_into_memory
from daftt_core.preflight import resolve
from daftt_core.records import Example
from daftt_core.storage import commit, read_manifest
from daftt_core.tasks import load_task
from daftt_core.teacher import training
from daftt_core.teacher.checkpoints import agreed_checkpoint, newest_checkpoint
from daftt_core.teacher.examples import IGNORED, reading_order, training_set, whole_batches
from daftt_core.workspace import read_examples
from daftt_core.workspace import stage as stages


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def losses(folder: Path) -> list[float]:
    history = json.loads((folder / "history.json").read_text())
    return [entry["loss"] for entry in history if "loss" in entry]


def test_only_the_answer_carries_loss_in_both_directions(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    task = load_task(config.run.task)
    _, tokenizer = load_causal_lm(config.teacher.model)
    example = Example.of("the soup was warm and fresh today", output="kind")
    both = training_set(task, [example], tokenizer, max_length=64, directions="both")
    answers = [
        tokenizer.decode([token for token in row["labels"] if token != IGNORED])
        for row in both.dataset
    ]
    assert answers == [" kind<|end|>", " the soup was warm and fresh today<|end|>"]
    one = training_set(task, [example], tokenizer, max_length=64, directions="label")
    assert one.dataset.num_rows == 1
    assert both.tokens == sum(len(row["input_ids"]) for row in both.dataset)


def test_a_tuned_teacher_knows_the_labels_and_loads_with_plain_transformers(
    tmp_path: Path,
) -> None:
    config = toy_config(tmp_path)
    folder, result = train_once(config)
    run = resolve(config)
    dev = read_examples(run, "data", None, "dev")
    model, tokenizer = load_causal_lm(folder)
    engine = LocalEngine(model, tokenizer, batch_size=8, max_length=64)
    log_probs = LabelScorer(engine, run.task, correct_prior=False).log_probs(dev)
    said = [run.task.label_names[index] for index in log_probs.argmax(axis=1)]
    assert sum(one == example.output for one, example in zip(said, dev, strict=True)) >= 20
    assert result.summary["examples"] == 64
    assert not (folder / ".checkpoints").exists()
    curve = losses(folder)
    assert len(curve) == result.summary["steps"] == 160
    assert curve[-1] < curve[0] / 2


def test_each_epoch_reads_every_example_once_and_like_lengths_together() -> None:
    lengths = [number % 50 for number in range(400)]
    order = reading_order(lengths, epochs=3, batch_size=8, seed=1)
    assert sorted(order) == sorted(list(range(400)) * 3)
    assert order == reading_order(lengths, epochs=3, batch_size=8, seed=1)
    assert order != reading_order(lengths, epochs=3, batch_size=8, seed=2)

    def padding(indices: list[int]) -> int:
        batches = [indices[at : at + 8] for at in range(0, len(indices), 8)]
        return sum(
            len(b) * max(lengths[i] for i in b) - sum(lengths[i] for i in b) for b in batches
        )

    assert padding(order) < padding(list(range(400)) * 3) / 2


def test_an_incomplete_batch_comes_last() -> None:
    order = reading_order([5] * 21, epochs=1, batch_size=8, seed=0)
    assert sorted(order) == list(range(21))


def test_rows_that_fill_the_last_batch_carry_no_loss() -> None:
    read = Dataset.from_list([{"input_ids": [1, 2], "labels": [IGNORED, 2]}] * 10)
    filled = whole_batches(read, 8)
    assert len(filled) == 16
    assert filled[9]["labels"] == [IGNORED, 2]
    assert all(row["labels"] == [IGNORED, IGNORED] for row in filled.select(range(10, 16)))
    assert whole_batches(filled, 8) is filled


def test_zero_epochs_leave_the_teacher_as_it_is(tmp_path: Path) -> None:
    config = toy_config(tmp_path, teacher_epochs=0)
    folder, result = train_once(config)
    before, _ = load_causal_lm(config.teacher.model)
    after, _ = load_causal_lm(folder)
    assert result.summary["steps"] == 0
    assert all(
        torch.equal(one, other)
        for one, other in zip(before.parameters(), after.parameters(), strict=True)
    )


def test_longer_inputs_are_cut_and_counted(tmp_path: Path) -> None:
    _, result = train_once(toy_config(tmp_path, teacher_max_length=24, teacher_epochs=1))
    assert result.summary["cut"] > 0


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    config = toy_config(tmp_path, teacher_checkpoint_steps=2)
    model, tokenizer = load_causal_lm(config.teacher.model)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    model.save_pretrained(tmp_path / "broken")
    tokenizer.save_pretrained(tmp_path / "broken")
    with pytest.raises(TrainingError, match=r"teacher: \w+ became nan at step 1 .*none.*learning"):
        train_once(toy_config(tmp_path, teacher_model=str(tmp_path / "broken")))


def test_an_uncommitted_checkpoint_does_not_count(tmp_path: Path) -> None:
    config = toy_config(tmp_path, teacher_epochs=1, teacher_checkpoint_steps=2)
    process = start_and_kill(config, tmp_path)
    checkpoints = resolve(config).folder / "teacher" / ".checkpoints"
    newest = newest_checkpoint(checkpoints)
    assert process.returncode == -signal.SIGKILL
    assert newest is not None
    torn = checkpoints / "checkpoint-99"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    assert newest_checkpoint(checkpoints) == newest
    assert agreed_checkpoint(Group(Rank()), checkpoints, config.teacher) == newest
    assert not torn.exists()


def test_a_killed_training_ends_as_if_it_had_not_been(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"teacher_epochs": 2, "teacher_checkpoint_steps": 3}
    undisturbed, expected = train_once(toy_config(tmp_path, name="undisturbed", **settings))
    config = toy_config(tmp_path, name="killed", **settings)
    start_and_kill(config, tmp_path)
    assert not (resolve(config).folder / "teacher" / "manifest.json").exists()
    with caplog.at_level(logging.INFO, logger="daftt"):
        resumed, result = train_once(config)
    assert "teacher: resuming after step 3 of 16" in caplog.text
    assert losses(resumed) == losses(undisturbed)
    assert result.summary == expected.summary
    assert result.digest == expected.digest


def test_weights_begin_at_the_same_multiple_whatever_the_header_of_their_file(
    tmp_path: Path,
) -> None:
    config = toy_config(tmp_path)
    weights = Path(config.teacher.model) / "model.safetensors"
    stored = load_file(weights)
    for length in (1, 9, 17, 25, 33, 41, 49, 57):  # the header is filled up to a multiple of 8
        save_file(stored, weights, {"format": "pt", "note": "x" * length})
        model, _ = load_causal_lm(config.teacher.model, device=torch.device("cpu"))
        move_into_memory(model)
        assert {one.data_ptr() % 64 for one in model.parameters()} == {0}
        assert all(
            torch.equal(one, stored[name])
            for name, one in model.state_dict().items()
            if name in stored
        )


@pytest.mark.parametrize("moment", ["export", "commit"])
def test_a_training_killed_after_its_end_is_still_the_best_one(tmp_path: Path, moment: str) -> None:
    settings = {
        "teacher_epochs": 4,
        "teacher_checkpoint_steps": 8,
        "teacher_learning_rate": 1e-1,  # so that the first epoch's end is the best
        "data_labelled_count": 16,
        "teacher_batch_size": 8,
    }
    _, expected = train_once(toy_config(tmp_path, name="undisturbed", **settings))
    assert expected.summary["best_step"] < 16
    config = toy_config(tmp_path, name="killed", **settings)
    kill_after_training(config, moment)
    folder, result = train_once(config)
    assert result.digest == expected.digest
    assert result.summary == expected.summary
    assert [path.name for path in folder.glob(".*")] == [".key"]


@pytest.mark.parametrize("checkpoint_steps", [4, 100])
def test_a_training_that_had_stopped_early_does_not_go_on_beyond_its_end(
    tmp_path: Path, checkpoint_steps: int
) -> None:
    settings = {
        "teacher_epochs": 20,
        "teacher_patience": 2,
        "teacher_checkpoint_steps": checkpoint_steps,  # 4: at each epoch's end
        "teacher_learning_rate": 5e-2,
        "data_labelled_count": 16,
        "teacher_batch_size": 8,
    }
    _, expected = train_once(toy_config(tmp_path, name="undisturbed", **settings))
    assert expected.summary["steps"] < 80
    config = toy_config(tmp_path, name="killed", **settings)
    kill_after_training(config, "export")
    _, result = train_once(config)
    assert result.summary == expected.summary
    assert result.digest == expected.digest


def test_a_checkpoint_whose_best_weights_are_gone_is_not_resumed_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step, best in ((4, None), (8, 0.7)):
        path = tmp_path / f"checkpoint-{step}"
        path.mkdir()
        commit(path, path.name, {"step": step, "processes": 1, "best_dev_loss": best})
    newest = agreed_checkpoint(Group(Rank()), tmp_path, TeacherConfig())
    assert newest == tmp_path / "checkpoint-4"
    assert "checkpoint-8: the best weights before it are missing; going back" in caplog.text


class _KilledError(BaseException):
    """What stands for the end of the process."""


def kill_after_training(config: Config, moment: str) -> None:
    """Train, and end once the weights are exported, or when the stage is about to be committed."""
    take = training.take_weights

    def killed(*given: Any, **_: object) -> None:
        if moment == "export":
            take(*given)
        raise _KilledError

    place = (training, "take_weights") if moment == "export" else (stages, "commit")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(*place, killed)
        with pytest.raises(_KilledError):
            train_once(config)


def start_and_kill(config: Config, folder: Path) -> subprocess.Popen[bytes]:
    """Train in a process of its own and kill it once a checkpoint is committed."""
    (folder / "config.json").write_text(config.model_dump_json())
    code = (
        "import sys, torch; torch.set_num_threads(1); from pathlib import Path\n"
        "from daftt_core.config import Config; from daftt_core.data import prepare\n"
        "from daftt_core.preflight import resolve; from daftt_core.teacher import train\n"
        "from daftt_core.teacher.checkpoints import CommitCheckpoints\n"
        "save = CommitCheckpoints.on_save\n"
        "def save_and_wait(*args, **kwargs):\n"
        "    save(*args, **kwargs); print('saved', flush=True); sys.stdin.readline()\n"
        "CommitCheckpoints.on_save = save_and_wait\n"
        "config = Config.model_validate_json(Path(sys.argv[1]).read_text())\n"
        "run = resolve(config)\n"
        "train(run, config.teacher, prepare(run, config.data).digest)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "config.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 120
        while process.stdout.readline() != b"saved\n":
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.kill()
    return process


def test_the_tokens_of_every_pass_are_counted(tmp_path: Path) -> None:
    config = toy_config(tmp_path, teacher_epochs=2, data_labelled_count=20)
    folder, result = train_once(config)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.usage is not None
    run = resolve(config)
    _, tokenizer = load_causal_lm(config.teacher.model)
    dev = read_examples(run, "data", None, "dev")
    checked = training_set(run.task, dev, tokenizer, max_length=64, directions="label").tokens
    assert manifest.usage.tokens_read == 2 * (result.summary["tokens"] + checked)
