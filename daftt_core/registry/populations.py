"""What the registry remembers of the data that decisions were about, for later runs' triggers.

    <registry>/<task>/populations/<digest>/population.npz

It holds hashes and counts, no text (:mod:`daftt_core.data.population`). Decisions name it by its
digest, so runs whose data are the same share one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daftt_core.data import POPULATION, TRIGGER, Population, read_population
from daftt_core.errors import StorageError
from daftt_core.registry.versions import as_run
from daftt_core.storage import copy_file
from daftt_core.tasks import Task
from daftt_core.workspace import Run, read_stage, run_stage, stage_manifest

__all__ = ["keep_population", "known_population"]


def keep_population(registry: str, run: Run) -> str:
    """Put what a run's first stages remember of its data into the registry.

    Returns:
        Its digest; empty where the run has no such stage.

    Raises:
        StorageError: It cannot be written.
    """
    if stage_manifest(run, TRIGGER) is None:
        return ""
    source, manifest = read_stage(run, TRIGGER)
    found, entry = str(manifest.summary["population"]), manifest.entry(POPULATION)
    if entry is None:
        raise StorageError(f"{source / POPULATION}: is missing")

    def work(folder: Path) -> dict[str, Any]:
        copy_file(source, entry, folder / POPULATION)
        return {}

    run_stage(as_run(registry, run.task), _stage(found), [found], work)
    return found


def known_population(registry: str, task: Task, digest: str) -> Population | None:
    """What the registry remembers under a digest; None where there is nothing.

    Raises:
        StorageError: It was changed.
    """
    where = as_run(registry, task)
    if not digest or stage_manifest(where, _stage(digest)) is None:
        return None
    folder, _ = read_stage(where, _stage(digest))
    found = read_population(folder / POPULATION)
    if found.digest != digest:
        raise StorageError(f"{folder / POPULATION}: is not the population {digest}")
    return found


def _stage(digest: str) -> str:
    return f"populations/{digest}"
