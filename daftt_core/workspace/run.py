"""A run, and its place: a folder on this machine, or a prefix in a remote storage."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from daftt_core.errors import ConfigError
from daftt_core.records import Record, digest
from daftt_core.storage import (
    Cache,
    Storage,
    cache_folder,
    check_writable,
    local_folder,
    open_storage,
)
from daftt_core.tasks import Task

_CACHE_GB = "100"  # two of the largest teachers, with room for what else a pod reads


class Run(Record):
    """The facts that every stage knows about its run.

    Attributes:
        uri: The run's folder, or its prefix in a storage such as ``gs://bucket/runs/one``.
        seed: Seed of every random choice.
        task: The task, complete, so that no stage needs the file it came from.
        on_gate_fail: What happens when the teacher does not pass its gate.
        family: Folder of the runs that belong together with this one, such as a sweep's cells:
            they copy each other's finished stages. Empty: none.
    """

    uri: str
    seed: int
    task: Task
    on_gate_fail: Literal["stop", "continue"] = "stop"
    family: str = ""

    @property
    def folder(self) -> Path:
        """Return the run's folder on this machine.

        Raises:
            StorageError: The run is remote.
        """
        return local_folder(self.uri)

    @property
    def name(self) -> str:
        """Return the last part of its folder or prefix."""
        folder = open_run(self.uri).folder
        return folder.resolve().name if folder else self.uri.rstrip("/").rpartition("/")[2]


def is_remote(run: Run) -> bool:
    """Return whether the run is in a remote storage, so that machines share no folder."""
    return open_run(run.uri).folder is None


def working_folder(run: Run) -> Path:
    """Return the folder for work on the run: its own, or its scratch folder on this machine.

    A retry on this machine finds the scratch folder again.
    """
    folder = open_run(run.uri).folder
    if folder is not None:
        return folder
    root = os.environ.get("DAFTT_SCRATCH")
    return (Path(root).expanduser() if root else cache_folder() / "scratch") / digest(run.uri)


def check_run(run: Run, needed_bytes: int) -> None:
    """Make sure that a run can be stored before anything is computed.

    Args:
        run: The run.
        needed_bytes: Space that it needs on this machine, including its present content.

    Raises:
        StorageError: Its folder or prefix cannot be written, or this machine lacks free space.
    """
    check_writable(working_folder(run), needed_bytes)
    open_run(run.uri).check_writable()


@lru_cache(maxsize=8)
def open_run(uri: str) -> Storage:
    """Return the storage of a run, opened once in a process."""
    return open_storage(uri)


def stage_cache() -> Cache:
    """Return the cache of fetched stages on this machine.

    Raises:
        ConfigError: Its limit, in the environment variable DAFTT_CACHE_GB, is not a number.
    """
    text = os.environ.get("DAFTT_CACHE_GB") or _CACHE_GB
    try:
        limit_bytes = int(float(text) * 1e9)
    except ValueError:
        raise ConfigError(
            f"the environment variable DAFTT_CACHE_GB: {text!r} is not a number of gigabytes"
        ) from None
    return Cache(cache_folder() / "stages", limit_bytes)
