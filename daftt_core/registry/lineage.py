"""The origin of a version, from its run's manifests, and the record of the data behind decisions.

The record is for the triggers of later runs:

    <registry>/<task>/populations/<digest>/population.npz

It holds hashes and counts, no text (:mod:`daftt_core.data.population`). Decisions name it by its
digest, so runs of the same data share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from daftt_core import __version__
from daftt_core.config import Config, parse_section, to_flat
from daftt_core.data import POPULATION, Population, read_population
from daftt_core.errors import StorageError
from daftt_core.registry.models import Lineage
from daftt_core.registry.versions import as_run
from daftt_core.stages import (
    CURATED,
    DATA,
    POPULATIONS,
    PREFLIGHT,
    PROMOTION,
    STUDENTS,
    SYNTHETIC,
    TEACHER,
    TEST,
    TRIGGER,
    DataResult,
    PopulationResult,
    PreflightResult,
    stage_of,
)
from daftt_core.storage import copy_file
from daftt_core.tasks import Task
from daftt_core.workspace import (
    CONFIG_FILE,
    Run,
    finished_stages,
    read_file,
    read_result,
    read_stage,
    run_stage,
    stage_manifest,
)


def keep_population(registry: str, run: Run) -> str:
    """Copy the record of a run's data into the registry.

    Returns:
        Its digest; empty if the run has no record.

    Raises:
        StorageError: It cannot be written.
    """
    if stage_manifest(run, TRIGGER) is None:
        return ""
    source, manifest = read_stage(run, TRIGGER)
    digest = TRIGGER.parse(manifest.summary, str(source)).population
    entry = manifest.entry(POPULATION)
    if entry is None:
        raise StorageError(f"{source / POPULATION}: is missing")

    def work(folder: Path) -> PopulationResult:
        copy_file(source, entry, folder / POPULATION)
        return PopulationResult()

    run_stage(as_run(registry, run.task), POPULATIONS.part(digest), [digest], work)
    return digest


def known_population(registry: str, task: Task, digest: str) -> Population | None:
    """Return the registry's record of the data with a digest; None if there is none.

    Raises:
        StorageError: It was changed.
    """
    registry_run, stage = as_run(registry, task), POPULATIONS.part(digest)
    if not digest or stage_manifest(registry_run, stage) is None:
        return None
    folder, _ = read_stage(registry_run, stage)
    population = read_population(folder / POPULATION)
    if population.digest != digest:
        raise StorageError(f"{folder / POPULATION}: is not the population {digest}")
    return population


def run_config(run: Run) -> Config:
    """Return every setting of a run.

    Raises:
        StorageError: Its first stage has not finished.
    """
    text = read_file(run.uri, PREFLIGHT, CONFIG_FILE)
    if text is None:
        raise StorageError(f"{run.uri}: its settings have not passed the preflight")
    return parse_section(Config, text.decode())


def collect_lineage(
    run: Run, version: str, arm: str, seed: int, images: Mapping[str, str]
) -> Lineage:
    """Return the lineage of one of a run's students; ``seed`` is its index in its arm.

    Raises:
        StorageError: A manifest cannot be read.
    """
    config = run_config(run)
    digests = {
        name: manifest.digest
        for name in sorted(finished_stages(run))
        if not _is_about_results(name) and (manifest := stage_manifest(run, name)) is not None
    }
    data = read_result(run, DATA) or DataResult()
    students = read_result(run, STUDENTS.part(arm))
    preflight = read_result(run, PREFLIGHT) or PreflightResult()
    return Lineage(
        version=version,
        task=run.task,
        run=run.name,
        uri=run.uri if "://" in run.uri else str(Path(run.uri).absolute()),
        run_seed=run.seed,
        arm=arm,
        seed=seed,
        training_examples=students.examples if students else {},
        data={
            "sha256": data.sha256,
            "source": data.source,
            "license": data.license,
            "sizes": data.sizes,
        },
        test_digest=digests.get(TEST.name, ""),
        settings=to_flat(config),
        code={
            "daftt": __version__,
            "daftt source": code_digest(),
            **{name: number for name, number in preflight.versions.items() if name != "daftt"},
        },
        images=dict(images),
        teacher={"model": config.teacher.model, "digest": digests.get(TEACHER.name, "")},
        synthetic={
            name: digest
            for name, digest in digests.items()
            if stage_of(name) in (CURATED, SYNTHETIC)
        },
        stages=digests,
        student=config.student,
        promotion=config.promotion,
    )


def code_digest() -> str:
    """Return a digest of DAFTT's own source files, which a version number does not tell apart."""
    hasher = hashlib.sha256()
    for name, file in sorted(_sources(resources.files("daftt_core"), "")):
        hasher.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
    return hasher.hexdigest()[:16]


def _sources(folder: Traversable, prefix: str) -> Iterable[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _sources(entry, f"{name}/")
        elif name.endswith(".py"):
            yield name, entry


def _is_about_results(name: str) -> bool:
    stage = stage_of(name)
    return stage is not None and (stage is PROMOTION or stage.about_results)
