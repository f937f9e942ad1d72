"""The runs in a folder or under a prefix of a bucket, and what became of them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from daftt_core.cli.outcome import last_failure
from daftt_core.cli.running import is_running
from daftt_core.errors import StorageError
from daftt_core.statuses import StageStatus, read_remote_statuses, read_statuses
from daftt_core.storage import RemoteFolder, Storage, open_storage, read_manifest
from daftt_core.workspace import read_file

__all__ = ["StoredRun", "find_runs"]

_LAST_STAGE = "report"
_AT_ONCE = 8
_Ending = Literal["running", "done", "failed", "interrupted", "unfinished"]


@dataclass(frozen=True)
class StoredRun:
    """A run in a folder of this machine or in a bucket.

    Attributes:
        name: Its folder's name.
        folder: Its folder, or its URI.
        status: What became of it; ``interrupted`` when it has not ended and nothing works on it,
            ``unfinished`` where that cannot be known.
        headline: Its result in one sentence, or why it failed; empty while there is neither.
        age_seconds: Time since a stage last changed.
        work_seconds: Time that its finished stages took, added up.
    """

    name: str
    folder: str
    status: _Ending
    headline: str
    age_seconds: float
    work_seconds: float


def find_runs(output: str) -> list[StoredRun]:
    """Every run directly under a folder or prefix, the newest first.

    Raises:
        StorageError: It cannot be read.
    """
    base = open_storage(output)
    uris = [f"{output.rstrip('/')}/{name}" for name in base.folders()]
    with ThreadPoolExecutor(1 if base.folder else _AT_ONCE) as pool:
        runs = [run for run in pool.map(_read, uris) if run is not None]
    return sorted(runs, key=lambda run: run.age_seconds)


def _read(uri: str) -> StoredRun | None:
    storage = open_storage(uri)
    folder = storage.folder
    found = read_statuses(folder) if folder else read_remote_statuses(storage)
    # people may look at a run's examples long after it has ended
    statuses = [status for status in found if not status.stage.startswith("review/")]
    if not statuses:
        return None
    status, headline = _ending(storage, statuses)
    return StoredRun(
        name=uri.rpartition("/")[2],
        folder=uri,
        status=status,
        headline=headline,
        age_seconds=time.time() - statuses[-1].updated,
        work_seconds=round(sum(_seconds(storage, each.stage) for each in statuses), 1),
    )


def _ending(storage: Storage, statuses: list[StageStatus]) -> tuple[_Ending, str]:
    last = statuses[-1]
    if storage.folder and is_running(storage.folder):
        return "running", ""
    if storage.folder and (failure := last_failure(storage.folder)):
        return "failed", failure
    if last.stage == _LAST_STAGE and last.state == "done":
        return "done", _headline(storage, statuses)
    failed = [status for status in statuses if status.state == "failed"]
    if failed:
        return "failed", f"stage {failed[-1].stage}: {failed[-1].message}"
    return "interrupted" if storage.folder else "unfinished", ""


def _headline(storage: Storage, statuses: list[StageStatus]) -> str:
    from daftt_core.evaluation import Evaluation
    from daftt_core.reporting import read_trigger

    if any(status.stage == "trigger" for status in statuses):
        asked = read_trigger(storage.uri)
        if asked and not asked.train:
            return asked.reason
    if not any(status.stage == "evaluation" and status.state == "done" for status in statuses):
        return ""
    try:
        text = read_file(storage.uri, "evaluation", "evaluation.json")
        return Evaluation.model_validate_json(text or b"").headline
    except (StorageError, ValidationError):
        return "the result cannot be read; run it again"


def _seconds(storage: Storage, stage: str) -> float:
    try:
        folder = storage.folder
        remote = RemoteFolder(storage, stage)
        manifest = read_manifest(folder / stage) if folder else remote.manifest()
    except StorageError:
        return 0.0
    return manifest.seconds if manifest else 0.0
