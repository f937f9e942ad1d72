"""Stages as copies of a process that has loaded their libraries: each is a program of its own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp.local import subprocess_task_handler

from daftt_core.cli.local import pipeline, warm
from daftt_core.cli.local.warm import WarmProcess


@pytest.fixture(scope="module")
def process() -> Iterator[WarmProcess]:
    with WarmProcess() as started:
        yield started


def command(body: str) -> list[str]:
    """Return the command of a component, as kfp.local makes it from a compiled pipeline."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    code = f"from kfp import dsl\n\ndef stage(name: str):\n{lines}"
    executor_input = {
        "inputs": {"parameterValues": {"name": "x"}},
        "outputs": {"outputFile": os.devnull},
    }
    arguments = ["--executor_input", json.dumps(executor_input), "--function_to_execute", "stage"]
    return ["sh", "-ec", "a script", code, *arguments]


def test_output_arguments_and_environment_are_those_of_a_program(
    process: WarmProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    body = """
import os, subprocess, sys
print("said", name, os.environ["COLOUR"], os.environ["_KFP_RUNTIME"])
sys.stderr.write("to stderr\\n")
subprocess.run(["echo", "by a child"])
assert sys.stdin.read() == ""
"""
    assert process.run(command(body), {"COLOUR": "green"}) == 0
    lines = capfd.readouterr().out.splitlines()
    assert {"said x green true", "to stderr", "by a child"} <= set(lines)


def test_its_exit_code_is_passed_on(
    process: WarmProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    assert process.run(command("raise SystemExit(8)")) == 8
    assert process.run(command("raise SystemExit('no')")) == 1
    assert process.run(command("raise ValueError('as it is')")) == 1
    assert "ValueError: as it is" in capfd.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_is_killed_is_told_from_one_that_ends(process: WarmProcess, number: int) -> None:
    assert process.run(command(f"import os\nos.kill(os.getpid(), {number:d})")) == -number


def test_what_one_does_to_itself_the_next_one_does_not_see(
    process: WarmProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    body = """
import os, json
print("found", os.environ.get("LEFT"), hasattr(json, "left"), os.getcwd())
os.environ["LEFT"], json.left = "here", True
os.chdir("/")
"""
    for _ in range(2):
        assert process.run(command(body)) == 0
    assert capfd.readouterr().out.count(f"found None False {Path.cwd()}") == 2


def test_without_the_process_stages_run_as_kfp_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        subprocess_task_handler, "run_local_subprocess", lambda *given: asked.append(given) or 5
    )
    started = WarmProcess()
    pipeline._start_stages_from(started)
    with started:
        os.kill(started._process.pid, signal.SIGKILL)
    assert subprocess_task_handler.run_local_subprocess(["a", "command"], None) == 5
    assert asked == [(["a", "command"], None)]


def test_a_gpu_belongs_to_a_fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(warm, "_DEVICES", tmp_path)
    assert warm.is_worthwhile()
    (tmp_path / "nvidiactl").touch()
    assert warm.is_worthwhile()
    (tmp_path / "nvidia0").touch()
    assert not warm.is_worthwhile()
