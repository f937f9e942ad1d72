"""Running a real compiled pipeline in its own process, and ending it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from daftt_core.cli.local.launch import (
    Attempt,
    StoppedError,
    compiled_pipeline,
    run_pipeline,
)
from daftt_core.cli.local.marks import is_running
from daftt_core.cli.local.outcome import explain_failure
from daftt_core.cli.local.watch import Watch, display_for
from daftt_core.cli.tables import PlainConsole
from daftt_core.errors import StorageError
from daftt_core.storage import read_manifest
from daftt_core.workspace import read_statuses

pytestmark = pytest.mark.slow


def _go(pipeline, run, how="well"):
    attempt = Attempt(run.folder)
    shown = io.StringIO()
    watch = Watch(attempt, display_for(PlainConsole(file=shown)))
    settings = {"run": run.model_dump_json(), "how": how}
    code = run_pipeline(attempt, pipeline, settings, watch.look)
    return attempt, code, shown.getvalue()


def _processes_of(folder) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    return [line for line in listing.splitlines() if str(folder) in line and "ps -eo" not in line]


def test_a_run_is_done_once_and_then_found_done(small_pipeline, small_run) -> None:
    attempt, code, shown = _go(small_pipeline, small_run)
    assert code == 0
    assert "first: done in 0 s\n" in shown
    assert "second: done in 0 s\n" in shown
    log = attempt.log.read_text()
    assert "working on second" in log
    assert "\x1b" not in log
    assert not is_running(small_run.folder)

    _, code, shown = _go(small_pipeline, small_run)
    assert code == 0
    assert shown.split("\n")[:2] == ["first: already done", "second: already done"]


def test_a_stage_that_fails_gives_its_sentence_and_its_code(small_pipeline, small_run) -> None:
    attempt, code, shown = _go(small_pipeline, small_run, "diverge")
    assert code != 0
    assert "second: failed" in shown
    error = explain_failure(attempt)
    assert str(error) == "stage second: the loss became NaN at step 2"
    assert attempt.log.read_text().count("working on second") == 1  # no retries on this machine
    assert error.exit_code == 7
    assert any("run the same command again" in note for note in error.__notes__)
    assert any(str(attempt.log) in note for note in error.__notes__)


def test_a_crash_shows_the_end_of_the_log(small_pipeline, small_run) -> None:
    attempt, code, _ = _go(small_pipeline, small_run, "crash")
    assert code != 0
    error = explain_failure(attempt)
    assert str(error).startswith("stage second broke off without giving a reason")
    assert error.exit_code == 1
    assert any("Abort" in note or "FAILURE" in note for note in error.__notes__)


def _stop_in_second(folder, stop) -> None:
    """Call ``stop`` once the second stage is running."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if {s.stage: s.state for s in read_statuses(folder)}.get("second") == "running":
            assert is_running(folder)
            stop()
            return
        time.sleep(0.1)
    raise AssertionError("the second stage never ran")


_COMMAND = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts behind & ignores it
from pathlib import Path
from daftt_core.cli.local.launch import Attempt, run_pipeline
folder, pipeline, run = sys.argv[1:]
run_pipeline(Attempt(Path(folder)), Path(pipeline), {"run": run, "how": "slow"}, lambda: None)
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running_when_the_command_is_stopped(
    sign, small_pipeline, small_run
) -> None:
    folder = small_run.folder
    words = [str(folder), str(small_pipeline), small_run.model_dump_json()]
    command = subprocess.Popen([sys.executable, "-c", _COMMAND, *words], stderr=subprocess.DEVNULL)
    try:
        _stop_in_second(folder, lambda: os.kill(command.pid, sign))
        command.wait(timeout=10)
    finally:
        command.kill()
        command.wait()
    deadline = time.monotonic() + 5
    while (_processes_of(folder) or is_running(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _processes_of(folder) == []
    assert not is_running(folder)
    assert read_manifest(folder / "first") is not None
    assert read_manifest(folder / "second") is None
    log = (folder / "log.txt").read_text()
    assert (f" stopping ({sign.name}); a teacher" in log) == (sign != signal.SIGKILL)

    before = (folder / "first" / "manifest.json").stat().st_mtime_ns
    _, code, shown = _go(small_pipeline, small_run)
    assert code == 0
    assert "first: already done" in shown
    assert (folder / "first" / "manifest.json").stat().st_mtime_ns == before


_NEXT_STAGE = """
import signal
import sys
from kfp.local import config, subprocess_task_handler
from daftt_core.cli.local import pipeline
signal.signal(signal.SIGTERM, pipeline._start_no_other)
if sys.argv[1] == "told":
    signal.raise_signal(signal.SIGTERM)
subprocess_task_handler.SubprocessTaskHandler(
    image="python",
    full_command=["sh", "-c", "touch started # kfp.dsl.executor_main"],
    pipeline_root=".",
    runner=config.SubprocessRunner(use_venv=False),
).run()
"""


@pytest.mark.parametrize("told", ["told", "not told"])
def test_a_pipeline_that_is_told_to_end_starts_no_other_stage(tmp_path, told) -> None:
    subprocess.run([sys.executable, "-c", _NEXT_STAGE, told], cwd=tmp_path, check=True)
    assert (tmp_path / "started").exists() == (told == "not told")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_decides_the_exit_code(sign) -> None:
    assert StoppedError(sign).exit_code == 128 + sign


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, small_pipeline) -> None:
    (tmp_path / "file").write_text("")
    attempt = Attempt(tmp_path / "file" / "run")
    with pytest.raises(StorageError, match="cannot be written"):
        run_pipeline(attempt, small_pipeline, {}, lambda: None)


def test_the_compiled_pipeline_is_found() -> None:
    assert compiled_pipeline().name == "daftt.yaml"
