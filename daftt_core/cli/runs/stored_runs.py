"""The runs in a folder or under a prefix of a bucket: which there are, and how each ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, TypeVar

import click
from click.core import ParameterSource
from pydantic import ValidationError

from daftt_core.cli.local.marks import is_running, last_failure
from daftt_core.errors import StorageError, did_you_mean
from daftt_core.records import explain
from daftt_core.stages import (
    POPULATIONS,
    PREFLIGHT,
    REPORT,
    VERSIONS,
    stage_of,
)
from daftt_core.storage import Manifest, RemoteFolder, Storage, open_storage, read_manifest
from daftt_core.telemetry import log
from daftt_core.workspace import RUN_FILE, Run, read_file
from daftt_core.workspace.status import StageStatus, read_remote_statuses, read_statuses

# A task's part of a registry keeps its contents as stages, but is no run.
_NOT_OF_A_RUN = (VERSIONS, POPULATIONS)
_LATEST = "latest"
_READERS = 8
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
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


def with_run(default: str = _LATEST) -> Callable[[_Decorated], _Decorated]:
    """Give a command an argument that names a run, and the option ``--output``."""

    def add(command: _Decorated) -> _Decorated:
        return click.argument("run", metavar="[RUN]", default=default)(with_output(command))

    return add


def with_output(command: _Decorated) -> _Decorated:
    """Give a command the option that says where the runs are."""
    text = "Folder, or prefix in a bucket, that holds the runs."
    return click.option("--output", default="runs", show_default=True, help=text)(command)


def find_run(name: str, output: str) -> str:
    """Return the folder or URI of a run: by its folder, URI or name, or with ``latest``.

    Raises:
        StorageError: There is no such run.
    """
    if name == _LATEST:
        runs = find_runs(output)
        if not runs:
            raise StorageError(f"{output}: there is no run in it; start one with: daftt run")
        return runs[0].folder
    for uri in (name,) if "://" in name else (name, f"{output.rstrip('/')}/{name}"):
        storage = open_storage(uri)
        if storage.folder.is_dir() if storage.folder else storage.folders():
            return uri
    known = [run.name for run in find_runs(output)]
    raise StorageError(
        f"{name}: there is no such folder, and no such run in {output}{did_you_mean(name, known)}"
    )


def read_run(uri: str) -> Run:
    """Return the run in a folder or bucket, also where it was moved there.

    Raises:
        StorageError: There is no run in it, it broke off before its settings were checked, or what
            is known of it is damaged.
    """
    text = read_file(uri, PREFLIGHT, RUN_FILE)
    if text is None:
        raise StorageError(f"{uri}: there is no run in it whose settings passed the preflight")
    try:
        return Run.model_validate_json(text).model_copy(update={"uri": uri})
    except ValidationError as error:
        reason = ": ".join(filter(None, next(explain(error, Run))))
        file = f"{uri.rstrip('/')}/{PREFLIGHT}/{RUN_FILE}"
        raise StorageError(f"{file}: is not a run of this version of DAFTT: {reason}") from None


def find_runs(output: str, *, cells: bool = False) -> list[StoredRun]:
    """Return every run directly under a folder or prefix, the newest first.

    Args:
        output: The folder or prefix.
        cells: Whether to look also in the folders that are no runs: a sweep's folder holds cells.

    Raises:
        StorageError: It cannot be read.
    """
    base, place = open_storage(output), output.rstrip("/")

    def read(name: str) -> StoredRun | None:
        return _read(f"{place}/{name}", name)

    def folders_in(name: str) -> list[str]:
        try:
            return [f"{name}/{cell}" for cell in open_storage(f"{place}/{name}").folders()]
        except StorageError as error:  # somebody else's folder, which may hold runs or not
            log.warning("%s; not searched for runs", error)
            return []

    names = base.folders()
    with reader_pool(base) as pool:
        runs = list(pool.map(read, names))
        if cells:
            no_runs = [name for name, run in zip(names, runs, strict=True) if run is None]
            runs += pool.map(read, chain.from_iterable(pool.map(folders_in, no_runs)))
    return sorted((run for run in runs if run is not None), key=lambda run: run.age_seconds)


def latest_like(run: Run) -> Run | None:
    """Return the newest finished run of the same task beside a run on this machine, if any.

    It may be the run itself, as an earlier attempt has left it.
    """
    folder = open_storage(run.uri).folder
    if folder is None:  # a bucket may hold many, and reading takes time
        return None
    try:
        beside = find_runs(str(folder.parent))
        others = (read_run(each.folder) for each in beside if each.status == "done")
        return next((other for other in others if other.task.id == run.task.id), None)
    except StorageError as error:
        log.debug("no earlier run: %s", error)
        return None


def reader_pool(storage: Storage) -> ThreadPoolExecutor:
    """Return threads for reading many runs: several for a bucket, where each answer takes time."""
    return ThreadPoolExecutor(1 if storage.folder else _READERS)


def read_stored_run(uri: str) -> StoredRun | None:
    """Return the run in a folder or under a prefix, and how it ended; None if there is none.

    Raises:
        StorageError: It cannot be read.
    """
    return _read(uri, uri.rstrip("/").rpartition("/")[2])


def check_named_folder(parameter: str) -> None:
    """Make sure that the folder exists which a parameter of the running command names.

    The default folder may be missing: the first run creates it.

    Args:
        parameter: The parameter's name. Its value may also be a prefix in a bucket, which is not
            checked.

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
    statuses = [
        status
        for status in (read_statuses(folder) if folder else read_remote_statuses(storage))
        if _is_of_a_run(status.stage)
    ]
    if not statuses:
        return None
    manifests = [_manifest(storage, status.stage) for status in statuses]
    status, headline = _ending(storage, statuses, manifests[-1])
    seconds = sum(manifest.seconds for manifest in manifests if manifest)
    return StoredRun(
        name=name,
        folder=uri,
        status=status,
        headline=headline,
        age_seconds=time.time() - statuses[-1].updated,
        work_seconds=round(seconds, 1),
    )


def _is_of_a_run(name: str) -> bool:
    """Return whether a stage is a part of a run's work.

    People may look at a run's examples long after it has ended.
    """
    stage = stage_of(name)
    is_review = stage is not None and stage.about_results and stage is not REPORT
    return not is_review and stage not in _NOT_OF_A_RUN


def _ending(
    storage: Storage, statuses: list[StageStatus], last_manifest: Manifest | None
) -> tuple[_Ending, str]:
    last = statuses[-1]
    if storage.folder and is_running(storage.folder):
        return "running", ""
    if storage.folder and (failure := last_failure(storage.folder)):
        return "failed", failure
    if last.stage == REPORT.name and last.state == "done":
        try:
            report = REPORT.parse(last_manifest.summary if last_manifest else {}, storage.uri)
        except StorageError:
            return "done", "the report cannot be read; write it again with: daftt report"
        return "done", report.headline
    failed = [status for status in statuses if status.state == "failed"]
    if failed:
        return "failed", f"stage {failed[-1].stage}: {failed[-1].message}"
    if storage.folder is None:
        return "unfinished", ""
    # a sweep works on its cells under its own mark
    return "running" if is_running(storage.folder.parent) else "interrupted", ""


def _manifest(storage: Storage, stage: str) -> Manifest | None:
    try:
        folder = storage.folder
        return read_manifest(folder / stage) if folder else RemoteFolder(storage, stage).manifest()
    except StorageError:
        return None
