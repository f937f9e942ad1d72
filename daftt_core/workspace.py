"""A run's folder, and the one way in which a stage does its work there.

    <run>/<stage>/            what the stage made; it exists once its manifest.json does
    <run>/.status/<stage>.json   how far it is, for the command line
    <run>/.locks/             one process at a time works on a stage

A stage's *key* is a digest of its settings and of what it reads. A stage that is committed under
the same key is not done again; an unfinished folder of the same key is gone on with; a folder of
another key is cleared first.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from daftt_core.errors import DafttError, StorageError
from daftt_core.progress import Snapshot, duration, log, watched_by
from daftt_core.records import Example, digest, read_jsonl
from daftt_core.storage import (
    MANIFEST,
    Manifest,
    commit,
    exclusively,
    local_folder,
    read_manifest,
    verify,
    write_text,
)
from daftt_core.tasks import Task

__all__ = [
    "Run",
    "StageResult",
    "StageStatus",
    "read_examples",
    "read_stage",
    "read_statuses",
    "run_stage",
]

_KEY_FILE = ".key"


class Run(BaseModel):
    """What every stage knows about the run it belongs to.

    Attributes:
        uri: The run's folder.
        seed: Seed of every random choice.
        task: The task, complete, so that no stage needs the file it came from.
        on_gate_fail: What happens when the teacher does not pass its gate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    seed: int
    task: Task
    on_gate_fail: Literal["stop", "continue"] = "stop"

    @property
    def folder(self) -> Path:
        """The run's folder on this machine."""
        return local_folder(self.uri)


class StageResult(BaseModel):
    """What a finished stage hands on.

    Attributes:
        name: The stage.
        digest: Identifies what it made; a later stage asks for it by this digest.
        summary: Numbers and small facts.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str
    summary: dict[str, Any]

    @property
    def reference(self) -> str:
        """Name and digest in one string, for lists of stages of which it is not known which ran."""
        return f"{self.name}@{self.digest}"


class StageStatus(BaseModel):
    """How far a stage is, as :func:`read_statuses` finds it.

    Attributes:
        stage: The stage's name.
        state: What it is doing.
        updated: Seconds since the epoch of the last change.
        progress: The work inside the stage, where it counts any.
        message: Why it failed.
        exit_code: The code of the error it failed with; 0 while it has not failed.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    state: Literal["running", "done", "failed"]
    updated: float
    progress: dict[str, Any] | None = None
    message: str = ""
    exit_code: int = 0


def run_stage(
    run: Run, name: str, inputs: Sequence[object], work: Callable[[Path], dict[str, Any]]
) -> StageResult:
    """Do a stage's work, unless it is done already.

    Args:
        run: The run.
        name: The stage's name; ``/`` makes folders.
        inputs: Everything that decides the result: settings, and digests of what is read.
        work: Fills the folder it is given and returns the summary. It may find there what an
            interrupted attempt left, and must go on from it.

    Raises:
        StorageError: The folder cannot be written or the disk is full.
        DafttError: Whatever ``work`` raises.
    """
    folder = run.folder / name
    key = digest(name, run.seed, run.task, *inputs)
    with exclusively(run.folder / ".locks" / f"{name.replace('/', '-')}.lock", name):
        done = _finished(folder, key)
        if done is not None:
            log.info("%s: already done", name)
            _set_status(run, name, "done")
            return StageResult(name=name, digest=done.digest, summary=done.summary)
        manifest = _work(run, name, folder, key, work)
    log.info("%s: done in %s", name, duration(manifest.seconds))
    return StageResult(name=name, digest=manifest.digest, summary=manifest.summary)


def _finished(folder: Path, key: str) -> Manifest | None:
    try:
        done = read_manifest(folder)
        if done is None or done.key != key:
            return None
        verify(folder, done)
    except StorageError as error:
        log.warning("%s; doing this stage again", error)
        with suppress(OSError):  # what is damaged must not be gone on with
            (folder / _KEY_FILE).unlink()
        return None
    return done


def _work(
    run: Run, name: str, folder: Path, key: str, work: Callable[[Path], dict[str, Any]]
) -> Manifest:
    started = time.monotonic()
    try:
        _prepare_folder(folder, key)
        _set_status(run, name, "running")
        with watched_by(lambda snapshot: _set_status(run, name, "running", snapshot)):
            summary = work(folder)
        manifest = commit(
            folder,
            key,
            summary,
            seconds=round(time.monotonic() - started, 1),
            peak_memory_bytes=peak_memory_bytes(),
        )
    except OSError as error:
        message = f"{error.filename or folder}: {error.strerror or error}"
        _set_status(run, name, "failed", failure=StorageError(message))
        raise StorageError(f"stage {name}: {message}") from error
    except DafttError as error:
        _set_status(run, name, "failed", failure=error)
        raise
    _set_status(run, name, "done")
    return manifest


def read_stage(run: Run, name: str, expected: str | None = None) -> tuple[Path, Manifest]:
    """The folder of a finished stage, checked against its manifest.

    Args:
        run: The run.
        name: The stage's name.
        expected: The digest its result had; None takes what is there.

    Raises:
        StorageError: The stage is not finished, was made anew since, or a file was changed.
    """
    folder = run.folder / name
    manifest = read_manifest(folder)
    if manifest is None:
        raise StorageError(f"{folder}: stage {name!r} has not finished (it has no manifest)")
    if expected is not None and manifest.digest != expected:
        raise StorageError(
            f"{folder}: was made anew while this run was using it; run the pipeline again"
        )
    verify(folder, manifest)
    return folder, manifest


def read_examples(run: Run, stage: str, expected: str | None, name: str) -> list[Example]:
    """The examples that a finished stage wrote.

    Args:
        run: The run.
        stage: The stage's name.
        expected: The digest its result had; None takes what is there.
        name: The file's name without ``.jsonl``, such as ``labelled`` or ``dev``.

    Raises:
        StorageError: The stage cannot be trusted, as in :func:`read_stage`.
        DataError: The stage wrote no such file, or a line is not an example.
    """
    folder, _ = read_stage(run, stage, expected)
    return read_jsonl(folder / f"{name}.jsonl", Example)


def read_statuses(folder: Path) -> list[StageStatus]:
    """The status of every stage of the run in ``folder``, oldest change first."""
    statuses = []
    for path in (folder / ".status").rglob("*.json"):
        try:
            statuses.append(StageStatus.model_validate_json(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # vanished or replaced under our eyes: seen next time
            log.debug("%s: skipped", path)
    return sorted(statuses, key=lambda status: status.updated)


def peak_memory_bytes() -> int:
    """Peak resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _prepare_folder(folder: Path, key: str) -> None:
    marker = folder / _KEY_FILE
    if folder.exists() and not (marker.is_file() and marker.read_bytes() == key.encode()):
        marker.unlink(missing_ok=True)  # first: a half-cleared folder must not be gone on with
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    write_text(marker, key)


def _set_status(
    run: Run,
    name: str,
    state: Literal["running", "done", "failed"],
    snapshot: Snapshot | None = None,
    failure: DafttError | None = None,
) -> None:
    status = {
        "stage": name,
        "state": state,
        "updated": time.time(),
        "progress": vars(snapshot) if snapshot else None,
        "message": str(failure or ""),
        "exit_code": failure.exit_code if failure else 0,
    }
    try:
        write_text(run.folder / ".status" / f"{name}.json", json.dumps(status))
    except OSError as error:  # a full disk must not hide the error that is being reported
        log.debug("status of %s not written: %s", name, error)
