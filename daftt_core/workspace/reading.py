"""Reading of finished stages, of the run's settings, and of the status of all stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from daftt_core.errors import StorageError
from daftt_core.records import Example, read_jsonl
from daftt_core.stages import DATA, DEPTH, PREFLIGHT, Stage
from daftt_core.storage import (
    MANIFEST,
    Manifest,
    RemoteFolder,
    copy_file,
    read_listed,
    read_manifest,
    unlisted,
    verify,
)
from daftt_core.tasks import Forms
from daftt_core.telemetry import log
from daftt_core.workspace.run import Run, open_run, stage_cache
from daftt_core.workspace.status import StageStatus, read_remote_statuses, read_statuses

if TYPE_CHECKING:
    from daftt_core.config import Config

R = TypeVar("R", bound=BaseModel)

CONFIG_FILE, RUN_FILE = "config.json", "run.json"  # of the stage preflight: settings, and the run
KEY_FILE = ".key"  # beside a stage's manifest: the key of the work in the folder


def require_stage(run: Run, stage: Stage[Any] | str, expected: str | None = None) -> Manifest:
    """Return the manifest of a finished stage, without its files. Raises as :func:`read_stage`."""
    name, storage = str(stage), open_run(run.uri)
    where = f"{storage.folder or storage.uri}/{name}"
    manifest = stage_manifest(run, name)
    if manifest is None:
        raise StorageError(f"{where}: stage {name!r} has not finished (it has no manifest)")
    if expected is not None and manifest.digest != expected:
        raise StorageError(
            f"{where}: was rebuilt while this run was using it; run the pipeline again"
        )
    return manifest


def read_stage(
    run: Run, stage: Stage[Any] | str, expected: str | None = None
) -> tuple[Path, Manifest]:
    """Return the folder of a finished stage, checked against its manifest; it holds nothing else.

    A stage of a remote run is fetched into the cache, unless it is there already. So is one on this
    machine whose folder holds files that its manifest does not list.

    Args:
        run: The run.
        stage: The stage, or its folder.
        expected: The digest its result must have; None accepts any.

    Raises:
        StorageError: The stage is not finished, was rebuilt since, or a file was changed.
    """
    name, storage = str(stage), open_run(run.uri)
    manifest = require_stage(run, name, expected)
    if storage.folder is None:
        return RemoteFolder(storage, name).fetch(manifest, stage_cache()), manifest
    folder = storage.folder / name
    verify(folder, manifest)
    extra = unlisted(folder, manifest)
    if not extra:
        return folder, manifest
    log.warning("%s: is not listed by the manifest beside it, so it is not read", folder / extra[0])

    def copy(target: Path) -> None:
        for entry in manifest.files:
            copy_file(folder, entry, target / entry.name)

    return stage_cache().obtain(manifest, copy), manifest


def stage_manifest(run: Run, stage: Stage[Any] | str) -> Manifest | None:
    """Return the manifest of a stage; None while it has not finished.

    Raises:
        StorageError: It cannot be read.
    """
    return manifest_at(run.uri, stage)


def manifest_at(uri: str, stage: Stage[Any] | str) -> Manifest | None:
    """Return the manifest of a stage of the run at ``uri``; None while it has not finished.

    Raises:
        StorageError: It cannot be read.
    """
    storage = open_run(uri)
    if storage.folder is None:
        return RemoteFolder(storage, str(stage)).manifest()
    return read_manifest(storage.folder / str(stage))


def content_uri(run: Run, stage: Stage[Any] | str) -> str:
    """Return the prefix of a bucket that holds a finished stage's files; empty for a local run.

    Raises:
        StorageError: The stage has not finished, or its manifest cannot be read.
    """
    storage = open_run(run.uri)
    if storage.folder is not None:
        return ""
    remote = RemoteFolder(storage, str(stage))
    manifest = remote.manifest()
    if manifest is None:
        raise StorageError(f"{remote.uri}: has not finished (it has no manifest)")
    return remote.content_uri(manifest)


def read_result(run: Run, stage: Stage[R]) -> R | None:
    """Return the result in a stage's manifest; None while it has not finished.

    Args:
        run: The run.
        stage: The stage, or one of its parts.

    Raises:
        StorageError: The manifest cannot be read, or its summary is not that of such a stage.
    """
    manifest = stage_manifest(run, stage)
    where = f"{run.uri}/{stage}/{MANIFEST}"
    return None if manifest is None else stage.parse(manifest.summary, where)


def read_file(uri: str, stage: Stage[Any] | str, name: str) -> bytes | None:
    """Return a small file of a finished stage, checked; None while the stage has not finished.

    Args:
        uri: The run's folder or prefix.
        stage: The stage, or its folder.
        name: The file's name.

    Raises:
        StorageError: The stage's manifest does not list it, it is missing, or it was changed.
    """
    storage = open_run(uri)
    if storage.folder is None:
        remote = RemoteFolder(storage, str(stage))
        manifest = remote.manifest()
        return None if manifest is None else remote.read(manifest, name)
    folder = storage.folder / str(stage)
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    entry = manifest.entry(name)
    if entry is None:
        raise StorageError(f"{folder / name}: is missing")
    return read_listed(folder, entry)


def finished_stages(run: Run) -> dict[str, float]:
    """Return the time each finished stage was committed, in seconds since the epoch, by name."""
    storage = open_run(run.uri)
    if storage.folder is not None:
        folder = storage.folder
        paths = (*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}"))
        return {
            path.parent.relative_to(folder).as_posix(): path.stat().st_mtime
            for path in paths
            if (path.parent / KEY_FILE).is_file()
        }
    return {
        name.removesuffix(f"/{MANIFEST}"): entry.modified
        for name, entry in storage.entries("").items()
        if name.endswith(f"/{MANIFEST}") and name.count("/") <= DEPTH
    }


def run_statuses(run: Run) -> list[StageStatus]:
    """Return the status of every stage of a run, oldest change first."""
    storage = open_run(run.uri)
    return read_statuses(storage.folder) if storage.folder else read_remote_statuses(storage)


def read_examples(
    run: Run, stage: Stage[Any] | str, expected: str | None, name: str
) -> list[Example]:
    """Return the examples that a finished stage wrote.

    Args:
        run: The run.
        stage: The stage, or its folder.
        expected: The digest its result must have; None accepts any.
        name: The file's name without ``.jsonl``, such as ``labelled`` or ``dev``.

    Raises:
        StorageError: The stage cannot be trusted, as in :func:`read_stage`.
        DataError: The stage wrote no such file, or a line is not an example.
    """
    folder, _ = read_stage(run, stage, expected)
    return read_jsonl(folder / f"{name}.jsonl", Example)


def read_forms(run: Run, data: str) -> Forms:
    """Return the forms of the task's inputs and outputs, by its labelled and dev examples.

    Args:
        run: The run.
        data: Digest of the ``data`` stage.

    Raises:
        StorageError: The stage cannot be trusted.
    """
    labelled, dev = (read_examples(run, DATA, data, name) for name in ("labelled", "dev"))
    return Forms.of(run.task, [*labelled, *dev])


def load_run(uri: str, digest: str) -> tuple[Run, Config]:
    """Return a run and its settings, as its first stage has committed them.

    Args:
        uri: The run's folder or prefix, as the first stage passed it to the pipeline.
        digest: Digest of the settings that the first stage committed.

    Raises:
        StorageError: The settings are missing, or others were committed since.
    """
    # here, as whoever lists runs needs no settings
    from daftt_core.config import Config, from_argument, parse_section

    uri = from_argument(uri)
    manifest = manifest_at(uri, PREFLIGHT)
    if manifest is None or manifest.digest != digest:
        raise StorageError(
            f"{uri}/{PREFLIGHT}: the settings of this run were changed or removed while it was "
            "running; run the pipeline again"
        )
    run, config = (read_file(uri, PREFLIGHT, name) for name in (RUN_FILE, CONFIG_FILE))
    if run is None or config is None:
        raise StorageError(f"{uri}/{PREFLIGHT}: was removed; run the pipeline again")
    # the pipeline's URI counts: the run's folder may have been moved
    moved = parse_section(Run, run.decode()).model_copy(update={"uri": uri})
    return moved, parse_section(Config, config.decode())
