"""Running of a stage: once for each key, resumable, and committed by its manifest."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload

from pydantic import BaseModel

from daftt_core.errors import BusyError, DafttError, StorageError
from daftt_core.records import digest, link_file, remove_stale, stale_partials, write_text
from daftt_core.stages import Facts, Stage, numbers
from daftt_core.storage import (
    MANIFEST,
    NOTHING,
    Manifest,
    RemoteFolder,
    Storage,
    commit,
    exclusively,
    local_folder,
    read_manifest,
    sound_manifest,
    verify,
    write_manifest,
)
from daftt_core.telemetry import duration, log, metered, watched_by
from daftt_core.workspace.progress import ALONE, Machine, forget, keeping
from daftt_core.workspace.reading import KEY_FILE
from daftt_core.workspace.run import Run, open_run, stage_cache, working_folder
from daftt_core.workspace.status import write_status
from daftt_core.workspace.usage import noted

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class StageResult(Generic[R]):
    """The result of a finished stage.

    Attributes:
        name: The stage's folder.
        digest: Digest of its content, by which later stages read it.
        result: Its numbers and small facts.
    """

    name: str
    digest: str
    result: R

    @property
    def summary(self) -> dict[str, Any]:
        """Return the result as in the manifest: names, numbers, texts, lists and mappings."""
        return self.result.model_dump(mode="json")

    @property
    def reference(self) -> str:
        """Return name and digest in one string, for lists of stages that may have run."""
        return f"{self.name}@{self.digest}"


class Artifact(Protocol):
    """An artifact of Kubeflow Pipelines, as a component is given it."""

    path: str
    metadata: dict[str, Any]


@overload
def run_stage(
    run: Run,
    stage: Stage[R],
    inputs: Sequence[object],
    work: Callable[[Path], R],
    machine: Machine = ALONE,
) -> StageResult[R]: ...


@overload
def run_stage(
    run: Run,
    stage: str,
    inputs: Sequence[object],
    work: Callable[[Path], Mapping[str, Any]],
    machine: Machine = ALONE,
) -> StageResult[Facts]: ...


def run_stage(
    run: Run,
    stage: Stage[Any] | str,
    inputs: Sequence[object],
    work: Callable[[Path], Any],
    machine: Machine = ALONE,
) -> StageResult[Any]:
    """Do a stage's work, unless it is done already.

    Args:
        run: The run.
        stage: The stage, or one of its parts; or the folder of a stage that is not in the
            catalogue.
        inputs: Everything that decides the result: settings, and digests of what is read.
        work: Fills the stage's folder and returns its result; outside the catalogue, a mapping of
            small facts. It must resume from files that an interrupted attempt left in the folder.
        machine: This machine, the first of several that work on the stage.

    Raises:
        StorageError: The folder cannot be written or the disk is full.
        DafttError: Whatever ``work`` raises.
    """
    if isinstance(stage, str):
        stage = Stage(stage, Facts)
    name, storage = stage.name, open_run(run.uri)
    key = _key(run, name, inputs)
    base = working_folder(run)
    folder = base / name
    with exclusively(base / ".locks" / f"{name.replace('/', '-')}.lock", name):
        remote = None if storage.folder else RemoteFolder(storage, name)
        version = remote.version() if remote else NOTHING
        done = _committed(remote, key) if remote else _finished(folder, key)
        if done is not None:
            log.info("%s: already done", name)
            _tidy(folder)  # an attempt may have been killed between its commit and its end
            write_status(base, storage, name, "done")
            return _result(run, stage, done)
        with _reported(base, storage, name):
            # the work may be done already, and only storing it have failed
            ready = _finished(folder, key) if remote else _copied(run, name, folder, key)
            manifest = ready or _work(base, storage, name, key, work, machine)
            if remote:
                manifest = _publish(remote, version, folder, manifest)
                forget(storage, name)
    log.info("%s: done in %s", name, duration(manifest.seconds))
    return _result(run, stage, manifest)


def record_artifact(
    artifact: Artifact, run: Run, stage: Stage[Any] | str, result: StageResult[Any] | Manifest
) -> None:
    """Let an artifact of Kubeflow Pipelines say what a stage made and where that is.

    The artifact's file is a small JSON object; its URI stays the one that it was given: its
    launcher fails a task whose artifact is said to lie in another bucket than its own
    (``backend/src/v2/component/launcher_v2.go``, ``uploadOutputArtifacts``).

    Args:
        artifact: An output of a component, such as ``dsl.Output[dsl.Model]``.
        run: The run.
        stage: The stage.
        result: Its result.
    """
    place = {"location": f"{run.uri}/{stage}", "digest": result.digest}
    artifact.metadata.update(place | numbers(result.summary))
    write_text(Path(artifact.path), json.dumps(place | {"summary": result.summary}, indent=1))


def _result(run: Run, stage: Stage[R], manifest: Manifest) -> StageResult[R]:
    where = f"{run.uri}/{stage}/{MANIFEST}"
    return StageResult(stage.name, manifest.digest, stage.parse(manifest.summary, where))


@contextmanager
def joined_stage(
    run: Run, stage: Stage[Any], inputs: Sequence[object], machine: Machine | None
) -> Iterator[Path]:
    """Give the folder for joining another process's work on a stage, in its :func:`run_stage`.

    In a local run it is the same folder. In a remote run it is this machine's scratch folder, to
    which the stage's progress is restored.

    Args:
        run: The run.
        stage: The stage.
        inputs: Everything that decides the result, as in the other process.
        machine: This machine, for the one of its processes that handles its scratch folder; None
            for the others, and on the other process's own machine.
    """
    name, storage = stage.name, open_run(run.uri)
    folder = working_folder(run) / name
    if machine is None or storage.folder is not None:
        yield folder
        return
    shutil.rmtree(folder, ignore_errors=True)  # it may hold parts of an attempt that was not joined
    key = _key(run, name, inputs)
    _prepare_folder(folder, key)
    with keeping(storage, name, key, folder, machine):
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


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
        with suppress(OSError):  # damaged work must not be resumed
            (folder / KEY_FILE).unlink()
        return None
    return done


def _copied(run: Run, name: str, folder: Path, key: str) -> Manifest | None:
    """Copy the same stage from a run of the family; None where none of them has finished it.

    A remote run copies nothing: its family is at work at the same time.
    """
    if not run.family:
        return None
    for source in sorted(local_folder(run.family).glob(f"*/{name}")):
        done = sound_manifest(source, "not copying it", key) if source != folder else None
        if done is None:
            continue
        log.info("%s: the same as %s, copied", name, source)
        shutil.rmtree(folder, ignore_errors=True)
        _prepare_folder(folder, key)
        for file in done.files:
            link_file(source / file.name, folder / file.name)
        done = done.model_copy(update={"copied": True})
        write_manifest(folder, done)
        return done
    return None


def _committed(remote: RemoteFolder, key: str) -> Manifest | None:
    """Return the manifest of a remote stage that has the same key and is whole."""
    done = remote.manifest()
    if done is None or done.key != key:
        return None
    if not remote.is_whole(done):
        log.warning("%s: objects that its manifest lists are missing; doing it again", remote.uri)
        return None
    return done


@contextmanager
def _reported(base: Path, storage: Storage, name: str) -> Iterator[None]:
    """Write the status of a stage when it starts and when it ends."""
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
    work: Callable[[Path], BaseModel | Mapping[str, Any]],
    machine: Machine,
) -> Manifest:
    folder = base / name
    with metered() as meter:
        _prepare_folder(folder, key)
        watched = watched_by(lambda shown: write_status(base, storage, name, "running", shown))
        with watched, keeping(storage, name, key, folder, machine), noted(folder, meter) as used:
            result = work(folder)
        peak = _peak_memory_bytes()
        summary = result.model_dump(mode="json") if isinstance(result, BaseModel) else dict(result)
        manifest = commit(folder, key, summary, usage=used(), peak_memory_bytes=peak)
    _tidy(folder)
    return manifest


def _tidy(folder: Path) -> None:
    """Remove a stage's hidden files, with which attempts resume, once it is done."""
    for path in folder.glob(".*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != KEY_FILE:
            path.unlink(missing_ok=True)


def _publish(remote: RemoteFolder, version: str, folder: Path, manifest: Manifest) -> Manifest:
    """Store a finished scratch folder, and keep its files for readers on this machine."""
    try:
        manifest = remote.commit(folder, manifest, replaces=version)
    except BusyError:
        winner = _committed(remote, manifest.key)
        if winner is None:
            raise
        log.info("%s: another process finished it first; its result is used", remote.uri)
        manifest = winner
    else:

        def move(target: Path) -> None:
            for file in manifest.files:
                (target / file.name).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(folder / file.name, target / file.name)

        with suppress(StorageError):  # they can be fetched
            stage_cache().obtain(manifest, move)
    shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _prepare_folder(folder: Path, key: str) -> None:
    marker = folder / KEY_FILE
    if folder.exists() and not (marker.is_file() and marker.read_bytes() == key.encode()):
        marker.unlink(missing_ok=True)  # first: a half-cleared folder must not be resumed
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    remove_stale(stale_partials(folder))
    write_text(marker, key)


def _peak_memory_bytes() -> int:
    """Return the peak resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
