"""The teacher trained by real processes: one or two, killed at bad moments, told to end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from toy_run import toy_config
from transformers import AutoModelForCausalLM, AutoTokenizer

from daftt_core.config import Config, JobConfig
from daftt_core.data import prepare
from daftt_core.jobs import JobRequest, launcher_for, teacher_request
from daftt_core.preflight import preflight, resolve
from daftt_core.storage import read_manifest
from daftt_core.teacher.checkpoints import newest_checkpoint
from daftt_core.workspace import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EXACT = 1e-6
"""A resumed training against an undisturbed one."""
CLOSE = 2e-5
"""Two processes against one: the same numbers are added in another order."""
DEADLINE_SECONDS = 240.0
"""For one training, on a busy machine; a hang would last longer."""


@dataclass(frozen=True)
class Toy:
    """A run with data, of which trainings make copies."""

    folder: Path
    config: Config
    run: Run
    data: str

    def copy(self, name: str) -> Run:
        run = self.run.model_copy(update={"uri": str(self.folder / "runs" / name)})
        if not run.folder.exists():
            shutil.copytree(self.run.folder, run.folder)
        return run

    def request(self, name: str, processes: int, **settings: object) -> JobRequest:
        job = JobConfig(processes_per_node=processes)
        teacher = self.config.teacher.model_copy(update=settings)
        run = self.copy(name)
        committed = preflight(self.config.model_copy(update={"teacher": teacher}), run)
        return teacher_request(run, committed.digest, job, self.data, "")

    def train(self, name: str, processes: int, **settings: object) -> Path:
        """Train as the launcher `local` does; the teacher's folder."""
        request = self.request(name, processes, **settings)
        launcher_for(request.config).launch(request)
        return self.copy(name).folder / "teacher"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    folder = tmp_path_factory.mktemp("toy")
    config = toy_config(
        folder,
        name="base",
        teacher_epochs=1,
        teacher_checkpoint_steps=3,
        teacher_precision="float32",
    )
    run = resolve(config)
    return Toy(folder, config, run, prepare(run, config.data).digest)


@pytest.fixture(scope="module")
def alone(toy: Toy) -> Path:
    return toy.train("alone", 1)


@pytest.fixture(scope="module")
def zero2(toy: Toy) -> Path:
    return toy.train("zero2", 2, zero_stage=2)


@pytest.fixture(scope="module")
def zero3(toy: Toy) -> Path:
    return toy.train("zero3", 2, zero_stage=3, micro_batch_size=2)


@contextmanager
def held(
    toy: Toy, at: str, ranks: str, name: str, processes: int, **settings: object
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A training that is held at a moment, and the folder whose file ``go`` lets it go."""
    request = toy.request(name, processes, **settings)
    words = request.program[2:]
    folder = toy.folder / f"{name}-{at}"
    folder.mkdir()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOLD_AT": at,
        "HOLD_RANKS": ranks,
        "HOLD_FOLDER": str(folder),
    }
    with subprocess.Popen(
        replace(request, program=("-m", "held_training", *words)).local_command(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_until(
                lambda: all((folder / f"held-{rank}").exists() for rank in ranks.split(",")),
                process,
            )
            yield process, folder
        finally:
            for signalled in (*pids(folder), process.pid):
                kill(signalled)


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        if process.poll() is not None and process.stdout:
            raise AssertionError(process.stdout.read())
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(folder: Path) -> list[int]:
    return [int(path.read_text() or 0) for path in sorted(folder.glob("held-*"))]


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def losses(folder: Path) -> list[float]:
    history = json.loads((folder / "history.json").read_text())
    return [entry["loss"] for entry in history if "loss" in entry]


def test_one_process_killed_during_a_save_ends_as_if_it_had_not_been(toy: Toy, alone: Path) -> None:
    with held(toy, "save-6", "0", "killed", 1) as (process, _):
        process.kill()
    checkpoints = toy.copy("killed").folder / "teacher" / ".checkpoints"
    assert (checkpoints / "checkpoint-6" / "optimizer.pt").exists()
    newest = newest_checkpoint(checkpoints)
    assert newest is not None
    assert newest.name == "checkpoint-3"
    assert losses(toy.train("killed", 1)) == pytest.approx(losses(alone), abs=EXACT)


def test_one_of_two_processes_killed_ends_both_and_the_rest_is_gone_on_with(
    toy: Toy, zero2: Path
) -> None:
    settings = {"zero_stage": 2}
    with held(toy, "step-4", "1", "one-of-two", 2, **settings) as (process, folder):
        kill(*pids(folder))
        assert process.wait(DEADLINE_SECONDS) == 128 + signal.SIGKILL
    assert losses(toy.train("one-of-two", 2, **settings)) == pytest.approx(losses(zero2), abs=EXACT)


def test_two_processes_killed_before_a_commit_then_told_to_end_end_as_if_undisturbed(
    toy: Toy, zero3: Path
) -> None:
    settings = {"zero_stage": 3, "micro_batch_size": 2}
    checkpoints = toy.copy("both").folder / "teacher" / ".checkpoints"
    with held(toy, "commit-6", "0,1", "both", 2, **settings) as (process, folder):
        for pid in pids(folder):
            kill(pid)
        assert process.wait(DEADLINE_SECONDS) == 128 + signal.SIGKILL
    assert (checkpoints / "checkpoint-6" / "trainer_state.json").exists()
    assert read_manifest(checkpoints / "checkpoint-6") is None

    with held(toy, "step-5", "1", "both", 2, **settings) as (process, folder):
        assert not (checkpoints / "checkpoint-6").exists()  # it goes on from 3
        process.terminate()
        time.sleep(0.5)
        (folder / "go").touch()
        assert process.wait(DEADLINE_SECONDS) == 143
        assert process.stdout is not None
        said = process.stdout.read()
    assert "error 143: teacher: told to end, and did so after step 5" in said
    newest = newest_checkpoint(checkpoints)
    assert newest is not None
    assert newest.name == "checkpoint-5"
    assert losses(toy.train("both", 2, **settings)) == pytest.approx(losses(zero3), abs=EXACT)


def test_the_number_of_processes_and_the_stage_do_not_change_what_is_learned(
    alone: Path, zero2: Path, zero3: Path
) -> None:
    for together in (zero2, zero3):
        assert losses(together) == pytest.approx(losses(alone), abs=CLOSE)
    one, two = (AutoModelForCausalLM.from_pretrained(folder) for folder in (alone, zero3))
    tokenizer = AutoTokenizer.from_pretrained(zero3)
    ids = tokenizer("the soup was warm and fresh today", return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(one(ids).logits, two(ids).logits, atol=1e-3, rtol=0)
    stored = sorted(path.name for path in zero3.iterdir() if not path.name.startswith("."))
    assert not [name for name in stored if "optim" in name or "rng" in name or name.endswith(".pt")]


def test_what_ends_the_first_process_before_the_work_ends_the_others(toy: Toy) -> None:
    run = toy.copy("unusable")
    (run.folder / "teacher").write_text("a file where a folder should be")
    command = toy.request("unusable", 2).local_command()
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )
    assert ended.returncode == 5
    assert "error 5: stage teacher:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_stage_that_is_done_is_not_done_again_by_any_process(toy: Toy, zero2: Path) -> None:
    before = (zero2 / "manifest.json").stat().st_mtime_ns
    toy.train("zero2", 2, zero_stage=2)
    assert (zero2 / "manifest.json").stat().st_mtime_ns == before
