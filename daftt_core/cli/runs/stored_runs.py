"""The runs in a folder or under a prefix of a bucket, and what became of them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import click
from click.core import ParameterSource
from pydantic import ValidationError

from daftt_core.cli.local.launch import is_running
from daftt_core.cli.local.outcome import last_failure
from daftt_core.errors import StorageError
from daftt_core.stages import (
    EVALUATION,
    POPULATIONS,
    REPORT,
    REVIEW_MARKS,
    REVIEW_SHEET,
    TRIGGER,
    VERSIONS,
    stage_of,
)
from daftt_core.storage import RemoteFolder, Storage, open_storage, read_manifest
from daftt_core.telemetry import log
from daftt_core.workspace import read_file
from daftt_core.workspace.status import StageStatus, read_remote_statuses, read_statuses

# People may look at a run's examples long after it has ended; and a task's part of a registry keeps
# what it holds as stages, but is no run.
_NOT_OF_A_RUN = (REVIEW_SHEET, REVIEW_MARKS, VERSIONS, POPULATIONS)
_AT_ONCE = 8
_Ending = Literal["running", "done", "failed", "interrupted", "unfinished"]


@dataclass(frozen=True)
class StoredRun:
    """A run in a folder of this machine or in a bucket.

    Attributes:
        name: Its folder's name; for a sweep's cell, the sweep's before it.
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


def find_runs(output: str, *, cells: bool = False) -> list[StoredRun]:
    """Every run directly under a folder or prefix, the newest first.

    Args:
        output: The folder or prefix.
        cells: Whether to look also in the folders there that are no runs: a sweep's holds cells.

    Raises:
        StorageError: It cannot be read.
    """
    base, place = open_storage(output), output.rstrip("/")

    def read(name: str) -> StoredRun | None:
        return _read(f"{place}/{name}", name)

    def folders_in(name: str) -> list[str]:
        try:
            return [f"{name}/{cell}" for cell in open_storage(f"{place}/{name}").folders()]
        except StorageError as error:  # a folder of others; whether runs are in it is not known
            log.warning("%s; no run is looked for in it", error)
            return []

    names = base.folders()
    with ThreadPoolExecutor(1 if base.folder else _AT_ONCE) as pool:
        runs = list(pool.map(read, names))
        if cells:
            others = [name for name, run in zip(names, runs, strict=True) if run is None]
            runs += pool.map(read, chain.from_iterable(pool.map(folders_in, others)))
    return sorted((run for run in runs if run is not None), key=lambda run: run.age_seconds)


def read_stored_run(uri: str) -> StoredRun | None:
    """The run in a folder or under a prefix, and what became of it; None where there is none.

    Raises:
        StorageError: It cannot be read.
    """
    return _read(uri, uri.rstrip("/").rpartition("/")[2])


def check_given(parameter: str) -> None:
    """Make sure that the folder is there which a parameter of the running command names.

    A default that nobody has named may be missing: the first run makes it.

    Args:
        parameter: The parameter's name. Its value may be a place in a bucket, which is there as
            far as something lies under it.

    Raises:
        StorageError: There is no such folder.
    """
    context = click.get_current_context()
    place = context.params[parameter]
    folder = open_storage(place).folder
    named = context.get_parameter_source(parameter) is not ParameterSource.DEFAULT
    if named and folder is not None and not folder.is_dir():
        raise StorageError(f"{place}: there is no such folder")


def _read(uri: str, name: str) -> StoredRun | None:
    storage = open_storage(uri)
    folder = storage.folder
    found = read_statuses(folder) if folder else read_remote_statuses(storage)
    statuses = [status for status in found if stage_of(status.stage) not in _NOT_OF_A_RUN]
    if not statuses:
        return None
    status, headline = _ending(storage, statuses)
    return StoredRun(
        name=name,
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
    if last.stage == REPORT.name and last.state == "done":
        return "done", _headline(storage, statuses)
    failed = [status for status in statuses if status.state == "failed"]
    if failed:
        return "failed", f"stage {failed[-1].stage}: {failed[-1].message}"
    if storage.folder is None:
        return "unfinished", ""
    # a sweep works on its cells under its own mark
    return "running" if is_running(storage.folder.parent) else "interrupted", ""


def _headline(storage: Storage, statuses: list[StageStatus]) -> str:
    from daftt_core.evaluation import Evaluation
    from daftt_core.reporting import read_trigger

    if any(status.stage == TRIGGER.name for status in statuses):
        asked = read_trigger(storage.uri)
        if asked and not asked.train:
            return asked.reason
    if not any(status.stage == EVALUATION.name and status.state == "done" for status in statuses):
        return ""
    try:
        text = read_file(storage.uri, EVALUATION, "evaluation.json")
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
