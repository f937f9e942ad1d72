"""The teacher trained by two machines that share no folder, of a run in a bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gcs_server import free_port
from toy_run import toy_config

from daftt_core.config import Config
from daftt_core.data import prepare
from daftt_core.preflight import preflight, resolve
from daftt_core.storage import open_storage
from daftt_core.workspace import Run, read_stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DEADLINE_SECONDS = 300.0


@contextmanager
def machines(
    folder: Path, run: Run, config: Config, data: str, hold_at: str = ""
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two machines with a process each, that are new: their folders are empty."""
    port = free_port()
    words = ["--run", run.uri, "--settings", preflight(config, run).digest, "--data", data]
    started = []
    for node in ("0", "1"):
        own = folder / node
        own.mkdir(parents=True)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DAFTT_SCRATCH": str(own / "scratch"),
            "DAFTT_CACHE": str(own / "cache"),
            "RANK": node,
            "WORLD_SIZE": "2",
            "LOCAL_RANK": "0",
            "LOCAL_WORLD_SIZE": "1",
            "GROUP_RANK": node,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "HOLD_AT": hold_at,
            "HOLD_RANKS": "0,1",
            "HOLD_FOLDER": str(folder),
        }
        command = [sys.executable, "-m", "held_training", *words]
        started.append(subprocess.Popen(command, env=environment))
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_two_machines_go_on_on_two_others_from_what_the_bucket_keeps(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFTT_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    config = toy_config(
        tmp_path,
        name="one",
        output=f"{bucket}/runs",
        teacher_epochs=1,
        teacher_checkpoint_steps=3,
        teacher_precision="float32",
        teacher_zero_stage=2,
    )
    run = resolve(config)
    data = prepare(run, config.data).digest
    with machines(tmp_path / "first", run, config, data, "step-5"):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not any("/folders/" in name for name in open_storage(run.uri).entries(".progress/")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with machines(tmp_path / "second", run, config, data) as started:
        assert [process.wait(DEADLINE_SECONDS) for process in started] == [0, 0]
    folder, manifest = read_stage(run, "teacher")
    history = json.loads((folder / "history.json").read_text())
    assert [entry["step"] for entry in history if "loss" in entry] == list(range(1, 9))
    assert manifest.summary["steps"] == 8
    assert not open_storage(run.uri).entries(".progress/")
    for node in ("0", "1"):
        scratch = tmp_path / "second" / node / "scratch"
        assert not list(scratch.rglob("*.pt"))
