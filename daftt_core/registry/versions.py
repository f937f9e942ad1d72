"""Versions: models as the registry keeps them, each a folder that plain transformers loads.

    config.json, model.safetensors, tokenizer files    the student
    README.md          its model card
    lineage.json       where it comes from
    learned-from.json  ids of the examples that it was trained or chosen on

A version is a stage of the registry's own "run": committed by manifest, verified when it is read,
fetched through the cache where the registry is at a distance.

Where a run's registry is.

The champion's answers to the current test examples.

With the students' own predictions, this is all that reads the test examples: it leaves answers,
and what decides reads only those.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daftt_core.config import PromotionConfig, StudentConfig
from daftt_core.errors import StorageError
from daftt_core.records import digest, write_text
from daftt_core.registry.card import write_card
from daftt_core.registry.models import Decision, Lineage
from daftt_core.stages import VERSIONS, VersionResult
from daftt_core.storage import MANIFEST, FileEntry, Manifest, copy_file, read_listed
from daftt_core.tasks import Task
from daftt_core.workspace import Run, read_file, read_stage, run_stage

REGISTRY = "registry"
"""Its folder beside the runs."""


def registry_of(run: Run, config: PromotionConfig) -> str:
    """The registry that a run's students are promoted to.

    Args:
        run: The run.
        config: Its promotion settings.
    """
    return config.registry or f"{run.uri.rstrip('/').rpartition('/')[0] or '.'}/{REGISTRY}"


_LINEAGE, _LEARNED, _CARD = "lineage.json", "learned-from.json", "README.md"


@dataclass(frozen=True)
class Student:
    """One of a run's students.

    Attributes:
        version: What the registry calls it: a digest of its files and of how it is asked.
        folder: Folder of the stage that it was trained in.
        files: What that stage's manifest says of its files, by their names.
    """

    version: str
    folder: Path
    files: dict[str, FileEntry]

    @classmethod
    def of(
        cls, folder: Path, manifest: Manifest, seed: int, config: StudentConfig, task: Task
    ) -> Student:
        """The student of a seed.

        Args:
            folder: Folder of the stage ``students/<arm>``.
            manifest: Its manifest.
            seed: The student's place.
            config: The student settings.
            task: The task.

        Raises:
            StorageError: The stage has no such student.
        """
        start = f"seed-{seed}/"
        files = {
            entry.name.removeprefix(start): entry
            for entry in manifest.files
            if entry.name.startswith(start) and entry.name != f"{start}{MANIFEST}"
        }
        if not files:
            raise StorageError(f"{folder}: holds no student {start.rstrip('/')}")
        version = digest(
            {name: entry.sha256 for name, entry in files.items()},
            *(config.max_length, config.max_target_length, task.id, task.label_names),
            length=12,
        )
        return cls(version, folder, files)


def keep_version(
    registry: str, student: Student, lineage: Lineage, decision: Decision, learned: Iterable[str]
) -> None:
    """Put a student into the registry, where it is independent of its run; the pointer stays.

    Args:
        registry: Where the registry is.
        student: The student.
        lineage: Where it comes from.
        decision: What it has shown.
        learned: Ids of the examples that it was trained or chosen on.

    Raises:
        StorageError: It cannot be written.
    """
    settings = json.loads(read_listed(student.folder, student.files["config.json"]))
    causal = not lineage.task.is_classification and not settings.get("is_encoder_decoder")

    def work(folder: Path) -> VersionResult:
        for name, entry in student.files.items():
            copy_file(student.folder, entry, folder / name)
        write_text(folder / _LINEAGE, lineage.model_dump_json(indent=1) + "\n")
        write_text(folder / _LEARNED, json.dumps(sorted(learned)) + "\n")
        write_text(folder / _CARD, write_card(lineage, decision, causal=causal))
        return VersionResult(run=lineage.run, arm=lineage.arm, score=decision.score)

    inputs = [student.version, decision]
    run_stage(as_run(registry, lineage.task), VERSIONS.part(student.version), inputs, work)


def copy_version(registry: str, task: Task, version: str, target: Path) -> None:
    """Copy the files of a version that serve, each checked while it is copied.

    Raises:
        StorageError: The version is not there, or a file was changed.
    """
    folder, manifest = read_stage(as_run(registry, task), VERSIONS.part(version))
    for entry in manifest.files:
        if _serves(entry.name):
            copy_file(folder, entry, target / entry.name)


def read_version(registry: str, task: Task, version: str) -> tuple[Path, Lineage, frozenset[str]]:
    """A version, each file checked: its folder on this machine, lineage, and what it learned from.

    Raises:
        StorageError: It is not there, or a file was changed.
    """
    folder, _ = read_stage(as_run(registry, task), VERSIONS.part(version))
    try:
        lineage = Lineage.model_validate_json((folder / _LINEAGE).read_bytes())
        learned = frozenset(json.loads((folder / _LEARNED).read_bytes()))
    except (OSError, ValueError) as error:
        raise StorageError(f"{folder}: is no version of this registry: {error}") from None
    return folder, lineage, learned


def read_lineage(registry: str, task: str, version: str) -> Lineage:
    """A version's lineage alone, without its model.

    Raises:
        StorageError: It is not there.
    """
    uri = f"{registry.rstrip('/')}/{task}"
    text = read_file(uri, VERSIONS.part(version), _LINEAGE)
    try:
        return Lineage.model_validate_json(text or b"")
    except ValidationError:
        raise StorageError(f"{uri}/{VERSIONS.part(version)}: holds no lineage") from None


def as_run(registry: str, task: Task) -> Run:
    """A task's part of a registry, as a run whose stages are what it keeps."""
    return Run(uri=f"{registry.rstrip('/')}/{task.id}", seed=0, task=task)


def _serves(name: str) -> bool:
    """Whether a file of a version is not only about it."""
    return name not in (_LINEAGE, _LEARNED)
