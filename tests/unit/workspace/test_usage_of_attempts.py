"""What the attempts at a stage used counts, and counts once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from daftt_core.storage import read_manifest
from daftt_core.tasks import load_task
from daftt_core.telemetry import count_tokens
from daftt_core.workspace import Run, run_stage, stage_manifest, unfinished_usage
from daftt_core.workspace import usage as attempts

KILLED = """
import sys, time
from pathlib import Path
from daftt_core.telemetry.usage import count_tokens
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, run_stage, usage
usage._NOTE_SECONDS = 0.05
def work(folder):
    count_tokens(read=100)
    time.sleep(0.6)
    (folder / ".started").write_text("")
    time.sleep(600)
run = Run(uri=sys.argv[1], seed=1, task=load_task("movie-reviews"))
run_stage(run, "teacher", [], work)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(uri=str(tmp_path / "one"), seed=1, task=load_task("movie-reviews"))


def learn(folder: Path) -> dict[str, Any]:
    count_tokens(read=10)
    return {}


def usage_of(run: Run, stage: str = "teacher") -> Any:
    manifest = stage_manifest(run, stage)
    assert manifest is not None
    assert manifest.usage is not None
    return manifest.usage


def test_a_killed_attempt_is_counted_as_far_as_it_was_noted(run: Run) -> None:
    command = [sys.executable, "-c", KILLED, run.uri]
    started = run.folder / "teacher" / ".started"
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "."}) as process:
        deadline = time.monotonic() + 120
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    lost = unfinished_usage(run)["teacher"]
    assert lost.attempts == 1
    assert lost.seconds >= 0.5
    run_stage(run, "teacher", [], learn)
    used = usage_of(run)
    assert (used.attempts, used.tokens_read) == (2, 110)
    assert used.seconds >= lost.seconds
    assert unfinished_usage(run) == {}
    assert not (run.folder / "teacher" / attempts.USAGE).exists()


def test_a_failed_attempt_is_counted_and_a_stage_found_done_is_not(run: Run) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        count_tokens(read=1)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_stage(run, "teacher", [], fail)
    run_stage(run, "teacher", [], learn)
    for _ in range(2):
        run_stage(run, "teacher", [], learn)
    used = usage_of(run)
    assert (used.attempts, used.tokens_read) == (3, 12)


def test_attempts_with_other_settings_are_not_counted(run: Run) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "teacher", ["other settings"], fail)
    run_stage(run, "teacher", [], learn)
    assert usage_of(run).attempts == 1


def test_a_copy_says_that_it_is_one(run: Run, tmp_path: Path) -> None:
    one = run.model_copy(update={"family": str(tmp_path)})
    other = one.model_copy(update={"uri": str(tmp_path / "other")})
    run_stage(one, "teacher", [], learn)
    run_stage(other, "teacher", [], learn)
    copied = read_manifest(tmp_path / "other" / "teacher")
    assert copied is not None
    assert copied.copied
    assert copied.digest == getattr(read_manifest(tmp_path / "one" / "teacher"), "digest", "")
    assert usage_of(other) == usage_of(one)


def test_manifests_of_earlier_and_later_versions_are_read(run: Run) -> None:
    run_stage(run, "teacher", [], learn)
    path = run.folder / "teacher" / "manifest.json"
    written = json.loads(path.read_text())
    later = {**written, "colour": "blue"}
    path.write_text(json.dumps(later))
    assert usage_of(run).attempts == 1
    del written["usage"], written["copied"]
    path.write_text(json.dumps(written))
    earlier = stage_manifest(run, "teacher")
    assert earlier is not None
    assert earlier.usage is None


def test_a_damaged_note_loses_itself_alone(run: Run) -> None:
    folder = run.folder / "teacher" / attempts.USAGE
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('{"seconds":')
    (folder / "b.json").write_text('{"seconds": 3, "attempts": 1}')
    assert unfinished_usage(run)["teacher"].seconds == 3
