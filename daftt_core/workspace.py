"""A run's folder, and the one way in which a stage does its work there.

    <run>/<stage>/            what the stage made; it exists once its manifest.json does
    <run>/.status/<stage>.json   how far it is, for the command line
    <run>/.locks/             one process at a time works on a stage

A stage's *key* is a digest of its settings and of what it reads. A stage that is committed under
the same key is not done again; an unfinished folder of the same key is gone on with; a folder of
another key is cleared first.

A run at a distance (``gs://``) has the same stages. Each is worked on in a scratch folder on this
machine (``DAFTT_SCRATCH``, or under the cache), stored when it is done, and read through a cache
(``DAFTT_CACHE``, at most ``DAFTT_CACHE_GB``). Who finishes a stage first has made it. What a stage
has done so far is kept there too (:mod:`daftt_core.keeping`), so that another machine goes on.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from daftt_core.assets import cache_folder
from daftt_core.errors import BusyError, ConfigError, DafttError, StorageError
from daftt_core.keeping import ALONE, Machine, forget, keeping
from daftt_core.progress import duration, log, watched_by
from daftt_core.records import Example, digest, read_jsonl
from daftt_core.statuses import StageStatus, read_remote_statuses, read_statuses, write_status
from daftt_core.storage import (
    MANIFEST,
    NOTHING,
    Cache,
    Manifest,
    RemoteFolder,
    Storage,
    check_writable,
    commit,
    exclusively,
    local_folder,
    open_storage,
    read_manifest,
    sound_manifest,
    verify,
    write_manifest,
    write_text,
)
from daftt_core.tasks import Task

__all__ = [
    "Run",
    "StageResult",
    "StageStatus",
    "check_run",
    "finished_stages",
    "is_distant",
    "joined_stage",
    "read_examples",
    "read_file",
    "read_stage",
    "read_statuses",
    "run_stage",
    "run_statuses",
    "stage_manifest",
    "working_folder",
]

_KEY_FILE = ".key"
_CACHE_GB = "100"  # two of the largest teachers, with room for what else a pod reads
_STAGE_DEPTH = 2  # students/<arm>/manifest.json; what lies deeper is a stage's own


class Run(BaseModel):
    """What every stage knows about the run it belongs to.

    Attributes:
        uri: The run's folder, or its prefix in a storage such as ``gs://bucket/runs/one``.
        seed: Seed of every random choice.
        task: The task, complete, so that no stage needs the file it came from.
        on_gate_fail: What happens when the teacher does not pass its gate.
        family: Folder of the runs that belong together with this one, such as a sweep's cells:
            what one of them has finished, the others copy. Empty: none do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    seed: int
    task: Task
    on_gate_fail: Literal["stop", "continue"] = "stop"
    family: str = ""

    @property
    def folder(self) -> Path:
        """The run's folder on this machine.

        Raises:
            StorageError: The run is in a storage at a distance.
        """
        return local_folder(self.uri)

    @property
    def name(self) -> str:
        """The last part of where it is."""
        folder = _open(self.uri).folder
        return folder.resolve().name if folder else self.uri.rstrip("/").rpartition("/")[2]


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


def run_stage(
    run: Run,
    name: str,
    inputs: Sequence[object],
    work: Callable[[Path], dict[str, Any]],
    machine: Machine = ALONE,
) -> StageResult:
    """Do a stage's work, unless it is done already.

    Args:
        run: The run.
        name: The stage's name; ``/`` makes folders.
        inputs: Everything that decides the result: settings, and digests of what is read.
        work: Fills the folder it is given and returns the summary. It may find there what an
            interrupted attempt left, and must go on from it.
        machine: Which one this is, where several work on the stage: the first.

    Raises:
        StorageError: The folder cannot be written or the disk is full.
        DafttError: Whatever ``work`` raises.
    """
    storage = _open(run.uri)
    key = _key(run, name, inputs)
    base = working_folder(run)
    folder = base / name
    with exclusively(base / ".locks" / f"{name.replace('/', '-')}.lock", name):
        remote = None if storage.folder else RemoteFolder(storage, name)
        version = remote.version() if remote else NOTHING
        done = _committed(remote, key) if remote else _finished(folder, key)
        if done is not None:
            log.info("%s: already done", name)
            write_status(base, storage, name, "done")
            return StageResult(name=name, digest=done.digest, summary=done.summary)
        with _reported(base, storage, name):
            # A stage whose work is done may only have failed to be stored.
            kept = _finished(folder, key) if remote else _copied(run, name, folder, key)
            manifest = kept or _work(base, storage, name, key, work, machine)
            if remote:
                manifest = _publish(remote, version, folder, manifest)
                forget(storage, name)
    log.info("%s: done in %s", name, duration(manifest.seconds))
    return StageResult(name=name, digest=manifest.digest, summary=manifest.summary)


@contextmanager
def joined_stage(
    run: Run, name: str, inputs: Sequence[object], machine: Machine | None
) -> Iterator[Path]:
    """The folder for helping another process with a stage; that one has called :func:`run_stage`.

    Where the run is in a folder, it is the same one. Where the run is at a distance, it is this
    machine's scratch folder, and what was kept of the stage is brought back to it.

    Args:
        run: The run.
        name: The stage's name.
        inputs: Everything that decides the result, as the other process gave it.
        machine: Which one this is, for the one of its processes that handles its scratch folder;
            None for the others, and on the other process's own machine.
    """
    storage = _open(run.uri)
    folder = working_folder(run) / name
    if machine is None or storage.folder is not None:
        yield folder
        return
    shutil.rmtree(folder, ignore_errors=True)  # parts here were perhaps never joined
    key = _key(run, name, inputs)
    _prepare_folder(folder, key)
    with keeping(storage, name, key, folder, machine):
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def is_distant(run: Run) -> bool:
    """Whether the run is in a storage at a distance, so that machines share no folder."""
    return _open(run.uri).folder is None


def _key(run: Run, name: str, inputs: Sequence[object]) -> str:
    return digest(name, run.seed, run.task, *inputs)


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


def _copied(run: Run, name: str, folder: Path, key: str) -> Manifest | None:
    """The same stage of a run of the family, copied; None where none of them has finished it.

    A run at a distance copies nothing: its family is at work at the same time.
    """
    if not run.family:
        return None
    for other in sorted(local_folder(run.family).glob(f"*/{name}")):
        done = sound_manifest(other, "not copying it", key) if other != folder else None
        if done is None:
            continue
        log.info("%s: the same as %s, copied", name, other)
        shutil.rmtree(folder, ignore_errors=True)
        _prepare_folder(folder, key)
        for file in done.files:
            (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
            _link(other / file.name, folder / file.name)
        write_manifest(folder, done)
        return done
    return None


def _link(source: Path, target: Path) -> None:
    """Make a file appear under a second name; a committed file is never written again."""
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _committed(remote: RemoteFolder, key: str) -> Manifest | None:
    """The manifest of a remote stage that was made from the same and is whole."""
    done = remote.manifest()
    if done is None or done.key != key:
        return None
    if not remote.is_whole(done):
        log.warning("%s: objects that its manifest lists are missing; doing it again", remote.uri)
        return None
    return done


@contextmanager
def _reported(base: Path, storage: Storage, name: str) -> Iterator[None]:
    """Keep how a stage ends as its status."""
    try:
        write_status(base, storage, name, "running")
        yield
    except OSError as error:
        message = f"{error.filename or base / name}: {error.strerror or error}"
        write_status(base, storage, name, "failed", failure=StorageError(message))
        raise StorageError(f"stage {name}: {message}") from error
    except DafttError as error:
        write_status(base, storage, name, "failed", failure=error)
        raise
    write_status(base, storage, name, "done")


def _work(
    base: Path,
    storage: Storage,
    name: str,
    key: str,
    work: Callable[[Path], dict[str, Any]],
    machine: Machine,
) -> Manifest:
    started, folder = time.monotonic(), base / name
    _prepare_folder(folder, key)
    watched = watched_by(lambda snapshot: write_status(base, storage, name, "running", snapshot))
    with watched, keeping(storage, name, key, folder, machine):
        summary = work(folder)
    return commit(
        folder,
        key,
        summary,
        seconds=round(time.monotonic() - started, 1),
        peak_memory_bytes=peak_memory_bytes(),
    )


def _publish(remote: RemoteFolder, version: str, folder: Path, manifest: Manifest) -> Manifest:
    """Store a finished scratch folder, and keep its files for who reads them on this machine."""
    try:
        remote.commit(folder, manifest, replaces=version)
    except BusyError:
        winner = _committed(remote, manifest.key)
        if winner is None:
            raise
        log.info("%s: another process finished it first; its result is used", remote.uri)
        manifest = winner
    else:
        with suppress(StorageError):  # they can be fetched
            _cache().obtain(manifest, lambda target: _move(folder, manifest, target))
    shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _move(folder: Path, manifest: Manifest, target: Path) -> None:
    for file in manifest.files:
        (target / file.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / file.name, target / file.name)


def read_stage(run: Run, name: str, expected: str | None = None) -> tuple[Path, Manifest]:
    """The folder of a finished stage, checked against its manifest.

    A stage in a distant storage is fetched into the cache, unless it is there already.

    Args:
        run: The run.
        name: The stage's name.
        expected: The digest its result had; None takes what is there.

    Raises:
        StorageError: The stage is not finished, was made anew since, or a file was changed.
    """
    storage = _open(run.uri)
    where = f"{storage.folder or storage.uri}/{name}"
    manifest = stage_manifest(run, name)
    if manifest is None:
        raise StorageError(f"{where}: stage {name!r} has not finished (it has no manifest)")
    if expected is not None and manifest.digest != expected:
        raise StorageError(
            f"{where}: was made anew while this run was using it; run the pipeline again"
        )
    if storage.folder is None:
        return RemoteFolder(storage, name).fetch(manifest, _cache()), manifest
    verify(storage.folder / name, manifest)
    return storage.folder / name, manifest


def stage_manifest(run: Run, name: str) -> Manifest | None:
    """The manifest of a stage; None while it has not finished.

    Raises:
        StorageError: It cannot be read.
    """
    storage = _open(run.uri)
    if storage.folder is None:
        return RemoteFolder(storage, name).manifest()
    return read_manifest(storage.folder / name)


def read_file(uri: str, stage: str, name: str) -> bytes | None:
    """A small file of a finished stage, not checked; None while the stage has not finished.

    Args:
        uri: The run's folder or prefix.
        stage: The stage's name.
        name: The file's.

    Raises:
        StorageError: It is missing or cannot be read.
    """
    storage = _open(uri)
    if storage.folder is None:
        remote = RemoteFolder(storage, stage)
        manifest = remote.manifest()
        return None if manifest is None else remote.read(manifest, name)
    if read_manifest(storage.folder / stage) is None:
        return None
    content = storage.read(f"{stage}/{name}")
    if content is None:
        raise StorageError(f"{storage.folder / stage / name}: is missing")
    return content.data


def finished_stages(run: Run) -> dict[str, float]:
    """When each finished stage was committed, in seconds since the epoch, by its name."""
    storage = _open(run.uri)
    if storage.folder is not None:
        folder = storage.folder
        paths = (*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}"))
        return {
            path.parent.relative_to(folder).as_posix(): path.stat().st_mtime
            for path in paths
            if (path.parent / _KEY_FILE).is_file()
        }
    return {
        name.removesuffix(f"/{MANIFEST}"): entry.modified
        for name, entry in storage.entries("").items()
        if name.endswith(f"/{MANIFEST}") and name.count("/") <= _STAGE_DEPTH
    }


def working_folder(run: Run) -> Path:
    """Where the run is worked on, on this machine: its folder, or the scratch folder it has here.

    A retry on this machine finds the scratch folder again.
    """
    folder = _open(run.uri).folder
    if folder is not None:
        return folder
    root = os.environ.get("DAFTT_SCRATCH")
    return (Path(root).expanduser() if root else cache_folder() / "scratch") / digest(run.uri)


def run_statuses(run: Run) -> list[StageStatus]:
    """The status of every stage of a run, wherever it is, oldest change first."""
    storage = _open(run.uri)
    return read_statuses(storage.folder) if storage.folder else read_remote_statuses(storage)


def check_run(run: Run, needed_bytes: int) -> None:
    """Make sure that a run can be stored before anything is computed.

    Args:
        run: The run.
        needed_bytes: Free space that it wants on this machine.

    Raises:
        StorageError: Its folder or prefix cannot be written, or this machine lacks free space.
    """
    check_writable(working_folder(run), needed_bytes)
    _open(run.uri).check_writable()


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


def peak_memory_bytes() -> int:
    """Peak resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@lru_cache(maxsize=8)
def _open(uri: str) -> Storage:
    return open_storage(uri)


def _cache() -> Cache:
    text = os.environ.get("DAFTT_CACHE_GB") or _CACHE_GB
    try:
        limit_bytes = int(float(text) * 1e9)
    except ValueError:
        raise ConfigError(
            f"the environment variable DAFTT_CACHE_GB: {text!r} is not a number of gigabytes"
        ) from None
    return Cache(cache_folder() / "stages", limit_bytes)


def _prepare_folder(folder: Path, key: str) -> None:
    marker = folder / _KEY_FILE
    if folder.exists() and not (marker.is_file() and marker.read_bytes() == key.encode()):
        marker.unlink(missing_ok=True)  # first: a half-cleared folder must not be gone on with
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    write_text(marker, key)
