"""Stages: done once, gone on with after a kill, and never trusted when damaged."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daftt_core.errors import DataError, GateError, StorageError
from daftt_core.records import Example, write_jsonl
from daftt_core.tasks import load_task
from daftt_core.telemetry import Progress
from daftt_core.workspace import (
    Run,
    read_examples,
    read_stage,
    read_statuses,
    run_stage,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_in(tmp_path / "run")


def run_in(folder: Path, seed: int = 1) -> Run:
    return Run(uri=str(folder), seed=seed, task=load_task("movie-reviews"))


class Work:
    """Writes ``parts`` files, keeps those it finds, and stops before number ``stop_at``."""

    def __init__(self, parts: int = 3, stop_at: int | None = None) -> None:
        self.parts, self.stop_at = parts, stop_at
        self.calls = 0
        self.written: list[str] = []

    def __call__(self, folder: Path) -> dict[str, Any]:
        self.calls += 1
        for number in range(self.parts):
            if number == self.stop_at:
                raise KeyboardInterrupt
            path = folder / f"part-{number}.txt"
            if not path.exists():
                path.write_text(f"part {number}")
                self.written.append(path.name)
        return {"parts": self.parts}


def test_a_stage_is_done_once(run: Run) -> None:
    first, second = Work(), Work()
    result = run_stage(run, "data", ["settings"], first)
    assert (result.name, result.summary) == ("data", {"parts": 3})
    assert run_stage(run, "data", ["settings"], second) == result
    assert (first.calls, second.calls) == (1, 0)


@pytest.mark.parametrize("change", ["inputs", "seed", "task"])
def test_a_stage_is_done_anew_when_what_decides_it_changes(run: Run, change: str) -> None:
    before = run_stage(run, "data", ["settings"], Work(parts=3))
    inputs = ["other settings"] if change == "inputs" else ["settings"]
    if change == "seed":
        run = run.model_copy(update={"seed": 2})
    if change == "task":
        run = run.model_copy(update={"task": run.task.model_copy(update={"definition": "New."})})
    work = Work(parts=2)
    after = run_stage(run, "data", inputs, work)
    assert work.written == ["part-0.txt", "part-1.txt"], "nothing of the old folder is used"
    assert not (run.folder / "data" / "part-2.txt").exists()
    assert after.digest != before.digest


def test_what_happens_at_the_gate_does_not_change_a_stage(run: Run) -> None:
    run_stage(run, "data", [], Work())
    work = Work()
    run_stage(run.model_copy(update={"on_gate_fail": "continue"}), "data", [], work)
    assert work.calls == 0


def test_an_interrupted_stage_is_gone_on_with(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "data", ["settings"], Work(stop_at=2))
    with pytest.raises(StorageError, match="stage 'data' has not finished"):
        read_stage(run, "data")
    work = Work()
    resumed = run_stage(run, "data", ["settings"], work)
    assert work.written == ["part-2.txt"]
    other = run.model_copy(update={"uri": run.uri + "-undisturbed"})
    assert run_stage(other, "data", ["settings"], Work()) == resumed


def test_what_other_settings_left_unfinished_is_not_gone_on_with(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "data", ["settings"], Work(stop_at=2))
    work = Work()
    run_stage(run, "data", ["other settings"], work)
    assert len(work.written) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "part-1.txt").write_text("PART 1"),
        lambda folder: (folder / "part-1.txt").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").write_bytes(b"\xff"),
    ],
    ids=["changed", "missing", "manifest", "not text"],
)
def test_a_damaged_stage_is_done_again_from_the_start(
    run: Run, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    result = run_stage(run, "data", ["settings"], Work())
    damage(run.folder / "data")
    work = Work()
    assert run_stage(run, "data", ["settings"], work) == result
    assert len(work.written) == 3, "nothing of a damaged folder is trusted"
    assert "doing this stage again" in caplog.text


def test_an_unreadable_key_file_is_no_key(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "data", [], Work(stop_at=2))
    (run.folder / "data" / ".key").write_bytes(b"\xff\xfe")
    work = Work()
    run_stage(run, "data", [], work)
    assert len(work.written) == 3


def test_reading_refuses_what_is_not_the_asked_for_result(run: Run) -> None:
    old = run_stage(run, "data", ["settings"], Work())
    folder, manifest = read_stage(run, "data", old.digest)
    assert (folder, manifest.digest) == (run.folder / "data", old.digest)
    new = run_stage(run, "data", ["other"], Work())
    with pytest.raises(StorageError, match=r"run/data: was rebuilt"):
        read_stage(run, "data", old.digest)
    assert read_stage(run, "data")[1].digest == new.digest


def test_reading_names_a_file_that_was_changed(run: Run) -> None:
    result = run_stage(run, "data", [], Work())
    (run.folder / "data" / "part-1.txt").write_text("x")
    with pytest.raises(StorageError, match=r"data/part-1\.txt: does not match"):
        read_stage(run, "data", result.digest)


def test_reading_a_stage_that_never_ran_says_so(run: Run) -> None:
    with pytest.raises(StorageError, match="stage 'teacher' has not finished"):
        read_stage(run, "teacher", "0" * 16)


def test_examples_are_read_by_stage_and_name(run: Run) -> None:
    examples = [Example.of("a film", output="positive")]

    def work(folder: Path) -> dict[str, Any]:
        return {"size": write_jsonl(folder / "dev.jsonl", examples)}

    result = run_stage(run, "data", [], work)
    assert read_examples(run, "data", result.digest, "dev") == examples
    with pytest.raises(DataError, match=r"gold\.jsonl: there is no such file"):
        read_examples(run, "data", result.digest, "gold")


def test_a_stage_may_lie_in_a_folder_of_stages(run: Run) -> None:
    names = ["students/real", "students/real+both"]
    results = [run_stage(run, name, [], Work()) for name in names]
    assert len({result.digest for result in results}) == 2
    assert [read_stage(run, name)[0] for name in names] == [run.folder / name for name in names]
    assert {status.stage for status in read_statuses(run.folder)} == set(names)


def test_a_users_mistake_is_reported_and_kept_as_the_status(run: Run) -> None:
    def work(folder: Path) -> dict[str, Any]:
        raise GateError("the teacher is worse")

    with pytest.raises(GateError, match=r"^the teacher is worse$"):
        run_stage(run, "assessment", [], work)
    (status,) = read_statuses(run.folder)
    assert (status.stage, status.state, status.exit_code) == ("assessment", "failed", 8)
    assert status.message == "the teacher is worse"


def test_the_status_tells_the_progress_inside_a_stage(run: Run) -> None:
    seen = []

    def work(folder: Path) -> dict[str, Any]:
        Progress("annotate", 10, "examples", done=4)
        seen.extend(read_statuses(run.folder))
        return {}

    run_stage(run, "synthetic/annotated-000-of-002", [], work)
    assert seen[0].state == "running"
    assert seen[0].progress is not None
    assert (seen[0].progress.done, seen[0].progress.total) == (4, 10)
    (status,) = read_statuses(run.folder)
    assert (status.state, status.exit_code) == ("done", 0)


def test_a_full_disk_is_one_sentence_and_leaves_nothing_committed(run: Run) -> None:
    def work(folder: Path) -> dict[str, Any]:
        (folder / "big.bin").symlink_to("/dev/full")
        (folder / "big.bin").write_text("x" * 100)
        return {}

    with pytest.raises(StorageError, match=r"^stage data: .*No space left on device$"):
        run_stage(run, "data", [], work)
    with pytest.raises(StorageError, match="has not finished"):
        read_stage(run, "data")
    (status,) = read_statuses(run.folder)
    assert (status.state, status.exit_code) == ("failed", 5)


@pytest.mark.parametrize("blocked", ["", "data"])
def test_a_file_where_a_folder_must_be_is_named(tmp_path: Path, blocked: str) -> None:
    run = run_in(tmp_path / "run")
    path = run.folder / blocked
    path.parent.mkdir(exist_ok=True)
    path.write_text("in the way")
    with pytest.raises(StorageError, match=str(path)):
        run_stage(run, "data", [], Work())
    assert path.read_text() == "in the way"


def _slow_stage(folder: Path, log: Path, seconds: float) -> None:
    def work(stage: Path) -> dict[str, Any]:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        (stage / "first.txt").write_text("first")
        time.sleep(seconds)
        (stage / "second.txt").write_text("second")
        return {"made": True}

    run_stage(run_in(folder), "data", [], work)


def _start(*args: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_slow_stage, args=args)
    process.start()
    return process


def test_two_processes_at_one_stage_do_the_work_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [_start(tmp_path / "run", log, 1.0) for _ in range(2)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(log.read_text().splitlines()) == 1
    assert read_stage(run_in(tmp_path / "run"), "data")[1].summary == {"made": True}


def test_a_killed_stage_leaves_no_lock_and_is_gone_on_with(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = _start(tmp_path / "run", log, 600.0)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "data" / "first.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    run = run_in(tmp_path / "run")
    with pytest.raises(StorageError, match="has not finished"):
        read_stage(run, "data")
    found = []

    def work(folder: Path) -> dict[str, Any]:
        found.extend(path.name for path in folder.iterdir() if not path.name.startswith("."))
        return {}

    run_stage(run, "data", [], work)
    assert found == ["first.txt"]


def cell(folder: Path, name: str) -> Run:
    """One of several runs that belong together."""
    made = Run(uri=str(folder / name), seed=1, task=load_task("movie-reviews"))
    return made.model_copy(update={"family": str(folder)})


def write_one(folder: Path) -> dict[str, object]:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "weights.txt").write_text("1")
    return {"steps": 3}


def never(folder: Path) -> dict[str, object]:
    raise AssertionError("this was to be copied")


def test_runs_of_a_family_make_the_same_stage_once(tmp_path: Path) -> None:
    first = run_stage(cell(tmp_path, "a"), "students/real", ["x"], write_one)
    again = run_stage(cell(tmp_path, "b"), "students/real", ["x"], never)
    assert again == first
    folder, manifest = read_stage(cell(tmp_path, "b"), "students/real", first.digest)
    assert (folder / "model" / "weights.txt").read_text() == "1"
    assert manifest.summary == {"steps": 3}


def test_a_copied_stage_outlives_the_one_it_came_from(tmp_path: Path) -> None:
    run_stage(cell(tmp_path, "a"), "teacher", ["x"], write_one)
    run_stage(cell(tmp_path, "b"), "teacher", ["x"], never)
    run_stage(cell(tmp_path, "a"), "teacher", ["other"], lambda _: {})
    read_stage(cell(tmp_path, "b"), "teacher")


@pytest.mark.parametrize("how", ["other inputs", "no family", "damaged"])
def test_what_is_not_the_same_or_not_whole_is_not_copied(tmp_path: Path, how: str) -> None:
    run_stage(cell(tmp_path, "a"), "teacher", ["x"], write_one)
    second, inputs = cell(tmp_path, "b"), ["x"]
    if how == "other inputs":
        inputs = ["y"]
    elif how == "no family":
        second = second.model_copy(update={"family": ""})
    else:
        (tmp_path / "a" / "teacher" / "model" / "weights.txt").write_text("2")
    with pytest.raises(AssertionError, match="was to be copied"):
        run_stage(second, "teacher", inputs, never)
