"""The compiled pipeline, run by the command line with kfp.local, real files and tiny models."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from champions import decided
from toy_run import toy_config

from daftt_core.config import to_flat
from daftt_core.data import prepare
from daftt_core.preflight import resolve
from daftt_core.retraining import check_trigger
from daftt_core.storage import read_manifest
from daftt_core.teacher import train
from daftt_core.workspace import read_statuses, working_folder

STAGES_TO_KILL = (
    "students/gold",
    "teacher",
    "synthetic/generated-001-of-002",
    "students/real+both",
    "predictions",
)


def command(folder: Path, name: str, **settings: object) -> list[str]:
    path = folder / f"{name}.json"  # JSON is YAML
    settings = {"mixture_tasks": 2, "mixture_share": 0.9, **settings}
    path.write_text(json.dumps(to_flat(toy_config(folder, name=name, **settings))))
    return [sys.executable, "-m", "daftt_core.cli", "run", "--settings", str(path), "--json"]


def run(folder: Path, name: str, **settings: object) -> dict[str, Any]:
    done = subprocess.run(
        command(folder, name, **settings), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, Any]:
    return run(folder, "undisturbed")


@pytest.mark.slow
def test_the_pipeline_ends_with_an_evaluation_and_a_report(
    folder: Path, undisturbed: dict[str, Any]
) -> None:
    evaluation = undisturbed["evaluation"]
    arms = {arm["arm"]: arm for arm in evaluation["arms"]}
    assert list(arms) == ["real", "real+annotated", "real+generated", "real+both", "gold"]
    assert evaluation["test_examples"] == 60
    assert all(len(arm["scores"]) == 2 for arm in arms.values())
    assert arms["gold"]["mean"] > 0.8
    report = Path(undisturbed["report"]).read_text(encoding="utf-8")
    assert evaluation["headline"].removesuffix(".") in report
    assert "instances of 2 other tasks" in report
    assert undisturbed["promotion"]["reason"].partition(": ")[0] in ("Promoted", "Not promoted")
    assert 'id="promotion"' in report
    states = {status.state for status in read_statuses(folder / "runs" / "undisturbed")}
    assert states == {"done"}


@pytest.mark.slow
def test_the_same_command_does_nothing_twice(folder: Path, undisturbed: dict[str, Any]) -> None:
    manifests = sorted((folder / "runs" / "undisturbed").rglob("manifest.json"))
    before = {path: path.stat().st_mtime_ns for path in manifests}
    again = run(folder, "undisturbed")
    assert again["evaluation"] == undisturbed["evaluation"]
    assert {path: path.stat().st_mtime_ns for path in manifests} == before


@pytest.mark.slow
def test_a_run_without_a_reason_to_train_ends_green_and_says_why(tmp_path: Path) -> None:
    config = toy_config(tmp_path, name="first")
    first = resolve(config)
    check_trigger(first, config.trigger, config.data, config.promotion)
    decided(first, "a" * 12)
    result = run(tmp_path, "second", trigger_when="drift", mixture_tasks=0)
    reason = (
        "No training: 0 new labelled rows (0.0% of 400) since champion aaaaaaaaaaaa (run first) "
        "(50 and 10% are needed), and no new input."
    )
    assert result["trigger"] == {"train": False, "reason": reason}
    assert result["evaluation"] is None
    assert reason.removesuffix(".") in Path(result["report"]).read_text(encoding="utf-8")
    assert reason in (tmp_path / "runs" / "second" / "summary.md").read_text(encoding="utf-8")
    stages = {status.stage for status in read_statuses(tmp_path / "runs" / "second")}
    assert stages == {"preflight", "trigger", "report"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_in_any_stage_ends_as_if_it_had_not_been(
    folder: Path, undisturbed: dict[str, Any]
) -> None:
    # kfp.local runs what does not wait for each other in any order, so the teacher may be done
    here = working_folder(resolve(toy_config(folder, name="killed")))
    killed = [
        stage
        for stage in STAGES_TO_KILL
        if read_manifest(here / stage) is None and kill_in(folder, "killed", stage)
    ]
    assert len(killed) >= 3  # the shortest stage may be over before the signal arrives
    result = run(folder, "killed")
    assert result["evaluation"] == undisturbed["evaluation"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_told_to_end_keeps_the_teachers_checkpoint_and_says_so(
    folder: Path, undisturbed: dict[str, Any]
) -> None:
    name = "told"
    here = working_folder(resolve(toy_config(folder, name=name)))
    status = here / ".status" / "teacher.json"
    with subprocess.Popen(
        command(folder, name), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (status.exists() and re.search(r'"done": [1-9]', status.read_text())):
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert said.endswith(
        "Stopping: a teacher in training stores a checkpoint first (again: stop now)\n"
        "Stopped. To resume, run the same command again: finished stages are not repeated.\n"
    )
    wait_for_silence(here)
    log = (here / "log.txt").read_text()
    assert " stopping (SIGTERM); a teacher in training stores a checkpoint first\n" in log
    stopped = re.search(r"stopping after step (\d+) of (\d+) and keeping its checkpoint", log)
    assert stopped
    assert f"told to end, and did so after step {stopped[1]} of {stopped[2]}" in log
    assert kill_in(folder, name, "assessment")  # which follows the teacher
    log = (here / "log.txt").read_text()
    assert f"teacher: resuming after step {stopped[1]} of {stopped[2]}" in log
    expected, made = (
        read_manifest(place / "teacher") for place in (folder / "runs" / "undisturbed", here)
    )
    assert expected
    assert made
    assert made.digest == expected.digest


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_in_a_bucket_killed_on_one_machine_is_finished_on_another(
    folder: Path, undisturbed: dict[str, Any], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAFTT_SCRATCH", raising=False)
    output = f"{bucket}/runs"
    monkeypatch.setenv("DAFTT_CACHE", str(folder / "machine A"))
    assert kill_in(folder, "far", "students/real+both", output=output)
    monkeypatch.setenv("DAFTT_CACHE", str(folder / "machine B"))
    result = run(folder, "far", output=output)
    assert result["folder"] == f"{output}/far"
    assert result["evaluation"] == undisturbed["evaluation"]
    assert Path(result["report"]).is_file()


def kill_in(folder: Path, name: str, stage: str, **settings: object) -> bool:
    """Start the run and kill all of it once ``stage`` is at work; whether that was in time."""
    here = working_folder(resolve(toy_config(folder, name=name, **settings)))
    status = here / ".status" / f"{stage}.json"
    with subprocess.Popen(
        command(folder, name, **settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            if status.exists() and '"running"' in status.read_text():
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
    wait_for_silence(here)
    return process.returncode == -signal.SIGKILL


def wait_for_silence(folder: Path) -> None:
    """Wait until no process of a run is left: they end when their parent is gone."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(str(folder) in line for line in command_lines()):
        time.sleep(0.1)
    assert not any(str(folder) in line for line in command_lines())


def command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it ended while we looked
            continue
        if int(path.parent.name) != os.getpid() and "daftt_core.cli.local.pipeline" in words:
            lines.append(" ".join(words))
    return lines


@pytest.mark.slow
def test_a_gate_that_is_not_passed_stops_the_run_with_one_sentence(folder: Path) -> None:
    settings = {"teacher_epochs": 0, "on_gate_fail": "stop", "student_gold_arm": False}
    # the students know more than a teacher that learned nothing: with them the labels may pass
    settings |= {"mixture_tasks": 0, "synthesis_second_opinion": False}
    stopped = subprocess.run(
        command(folder, "stopped", **settings), capture_output=True, text=True, check=False
    )
    assert stopped.returncode == 8
    failure = json.loads(stopped.stdout)
    assert failure["status"] == "failed"
    assert failure["message"].startswith(
        "what would be taught is clearly no better than the baseline students"
    )
    assert "Traceback" not in stopped.stdout + stopped.stderr
    assert not (folder / "runs" / "stopped" / "synthetic").exists()
    assert not (folder / "runs" / "stopped" / "mixture").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_looks_like_a_placeholder_reaches_the_stages_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "{{$.Values.image}} {{$}} python3 $$"
    definition = (
        "Say {{$.x}}, {{$}} and {{workflow.name}} in python3 for $$5 of $(HOME), and not "
        "/kfp-workspace/x."
    )
    toy_config(folder)
    task = folder / "meals.yaml"
    fields = yaml.safe_load(task.read_text(encoding="utf-8")) | {"definition": definition}
    task.write_text(yaml.safe_dump(fields), encoding="utf-8")
    small = {"mixture_tasks": 0, "student_seeds": 1, "student_gold_arm": False, "teacher_epochs": 1}
    result = run(folder, "hostile", **small)
    assert result["evaluation"]

    # all that a stage was made from is in its key: with another text it would be made anew
    config = toy_config(folder, name="hostile", **small)
    own = resolve(config)
    assert own.task.definition == definition
    assert own.folder == folder / "runs" / "hostile"
    made = read_manifest(own.folder / "teacher")
    data = prepare(own, config.data)
    train(own, config.teacher, data.digest)
    assert read_manifest(own.folder / "teacher") == made
