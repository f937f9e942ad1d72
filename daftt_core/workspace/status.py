"""The status of a run's stages, in small files of its folder or prefix: ``.status/<stage>.json``.

They are for watchers; no stage decides anything by them. A remote run has them in its scratch
folder too; in its storage only the changes of state are written, not the progress inside a stage.
A status that cannot be written is skipped.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from daftt_core.errors import DafttError, StorageError
from daftt_core.records import write_text
from daftt_core.storage import Storage
from daftt_core.telemetry import Snapshot, log

State = Literal["running", "done", "failed"]
_FOLDER = ".status"
_STEP_OF_A_RUN = re.compile(r"(.{1,200}?)-(?:retry-)?system-container-")  # Argo's names of pods
_END_OF_TIME = 253_402_300_800.0  # the last second that a date can name: the year 9999


class StageStatus(BaseModel):
    """The status of a stage.

    Attributes:
        stage: The stage's name.
        state: Whether it is running, done or failed.
        updated: Seconds since the epoch of the last change.
        progress: The work inside the stage, where it counts any.
        message: Why it failed.
        exit_code: The code of the error it failed with; 0 while it has not failed.
        attempt: The run in Kubeflow Pipelines that changed it last (:func:`current_attempt`).
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, defer_build=True)

    stage: str
    state: State
    updated: float = Field(ge=0, le=_END_OF_TIME)
    progress: Snapshot | None = None
    message: str = ""
    exit_code: int = Field(default=0, ge=0, le=255)
    attempt: str = ""

    @field_validator("progress")
    @classmethod
    def _check_progress(cls, progress: Snapshot | None) -> Snapshot | None:
        if progress and not all(0 <= n < 2**63 for n in (progress.done, progress.total or 0)):
            raise ValueError("holds an impossible count")
        return progress


def current_attempt() -> str:
    """Return the run in Kubeflow Pipelines that this process works for; empty outside a cluster.

    It is the name of Argo's workflow, with which the names of all the run's pods begin. A run that
    is retried keeps it; one that is started again on the same folder has another.
    """
    step = _STEP_OF_A_RUN.match(os.environ.get("KFP_POD_NAME", ""))
    return step[1] if step else ""


def read_statuses(folder: Path) -> list[StageStatus]:
    """Return the status of every stage of the run in ``folder``, oldest change first."""
    texts: dict[str, bytes] = {}
    for path in (folder / _FOLDER).rglob("*.json"):
        with suppress(OSError):  # it was removed or replaced at this moment: it is read next time
            texts[str(path)] = path.read_bytes()
    return _parsed(texts.items())


def read_remote_statuses(storage: Storage) -> list[StageStatus]:
    """Return the status of every stage of the run in a storage, oldest change first.

    Raises:
        StorageError: The storage cannot be read.
    """
    contents = ((name, storage.read(name)) for name in storage.entries(f"{_FOLDER}/"))
    return _parsed((name, content.data) for name, content in contents if content)


def _parsed(texts: Iterable[tuple[str, bytes]]) -> list[StageStatus]:
    statuses = []
    for name, text in texts:
        try:
            statuses.append(StageStatus.model_validate_json(text))
        except ValidationError:
            log.debug("%s: skipped", name)
    return sorted(statuses, key=lambda status: status.updated)


def mark_stopped(storage: Storage, reason: str, attempt: str = "") -> None:
    """Note that a run was stopped, at each stage that was working.

    Args:
        storage: The run's.
        reason: What stopped it.
        attempt: Only stages at which this attempt worked last; empty: all.

    Raises:
        StorageError: The storage cannot be read or written.
    """
    for status in read_remote_statuses(storage):
        if status.state == "running" and attempt in ("", status.attempt):
            update = {"state": "failed", "message": reason, "exit_code": 1, "updated": time.time()}
            stopped = status.model_copy(update=update)
            storage.write(f"{_FOLDER}/{status.stage}.json", stopped.model_dump_json().encode())


def write_status(
    folder: Path,
    storage: Storage,
    stage: str,
    state: State,
    snapshot: Snapshot | None = None,
    failure: DafttError | None = None,
) -> None:
    """Write the status of a stage; skip what cannot be written.

    Args:
        folder: The folder for work on the run on this machine.
        storage: The run's storage.
        stage: The stage's name.
        state: Whether it is running, done or failed.
        snapshot: The work inside the stage.
        failure: Why it failed.
    """
    status = {
        "stage": stage,
        "state": state,
        "updated": time.time(),
        "progress": vars(snapshot) if snapshot else None,
        "message": str(failure or ""),
        "exit_code": failure.exit_code if failure else 0,
        "attempt": current_attempt(),
    }
    name, text = f"{_FOLDER}/{stage}.json", json.dumps(status)
    try:
        write_text(folder / name, text)
        # a bucket takes one write a second of the same object
        if storage.folder is None and snapshot is None:
            storage.write(name, text.encode())
    except (OSError, StorageError) as error:  # must not hide the error that is being reported
        log.debug("status of %s not written: %s", stage, error)
