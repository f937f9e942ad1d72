"""Versions: models as the registry keeps them, each a folder that plain transformers loads.

    config.json, model.safetensors, tokenizer files    the student
    README.md          its model card
    lineage.json       where it comes from
    learned-from.json  ids of the examples that it was trained or chosen on

A version is a stage of the registry's own "run": committed by manifest, verified when it is read,
and fetched through the cache if the registry is remote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daftt_core.config import PromotionConfig, StudentConfig
from daftt_core.errors import StorageError
from daftt_core.records import digest, write_jsonl, write_text
from daftt_core.registry.card import write_card
from daftt_core.registry.models import Decision, Lineage
from daftt_core.stages import TEST, VERSIONS, VersionResult
from daftt_core.storage import MANIFEST, FileEntry, Manifest, copy_file, read_listed
from daftt_core.tasks import Task
from daftt_core.telemetry import Progress
from daftt_core.workspace import Run, read_examples, read_file, read_stage, run_stage

REGISTRY = "registry"
"""The registry's folder beside the runs."""

_LINEAGE, _LEARNED = "lineage.json", "learned-from.json"
CARD = "README.md"
"""The model card's file."""


def registry_of(run: Run, config: PromotionConfig) -> str:
    """Return the registry that a run's students are promoted to."""
    return config.registry or f"{run.uri.rstrip('/').rpartition('/')[0] or '.'}/{REGISTRY}"


@dataclass(frozen=True)
class Student:
    """One of a run's students.

    Attributes:
        version: Its name in the registry: a digest of its files and of how it is prompted.
        folder: Folder of the stage that trained it.
        files: That stage's manifest entries of its files, by name.
    """

    version: str
    folder: Path
    files: dict[str, FileEntry]

    @classmethod
    def of(
        cls, folder: Path, manifest: Manifest, seed: int, config: StudentConfig, task: Task
    ) -> Student:
        """Return the student with an index, from the folder and manifest of ``students/<arm>``.

        Raises:
            StorageError: The stage has no such student.
        """
        prefix = f"seed-{seed}/"
        files = {
            entry.name.removeprefix(prefix): entry
            for entry in manifest.files
            if entry.name.startswith(prefix) and entry.name != f"{prefix}{MANIFEST}"
        }
        if not files:
            raise StorageError(f"{folder}: holds no student {prefix.rstrip('/')}")
        version = digest(
            {name: entry.sha256 for name, entry in files.items()},
            *(config.max_length, config.max_target_length, task.id, task.label_names),
            length=12,
        )
        return cls(version, folder, files)

    def copy(self, target: Path) -> None:
        """Copy its files into a folder, each checked while it is copied.

        Raises:
            StorageError: A file is missing or was changed.
            OSError: A copy cannot be written.
        """
        for name, entry in self.files.items():
            copy_file(self.folder, entry, target / name)

    def is_causal(self, task: Task) -> bool:
        """Return whether it is a causal language model that writes outputs of the task.

        Raises:
            StorageError: Its configuration is missing or was changed.
        """
        settings = json.loads(read_listed(self.folder, self.files["config.json"]))
        return not task.is_classification and not settings.get("is_encoder_decoder")


def keep_version(
    registry: str, student: Student, lineage: Lineage, decision: Decision, learned: Iterable[str]
) -> None:
    """Copy a student into the registry, independent of its run; the champion stays the same.

    With it go its lineage, a card with the decision, and ``learned``, the ids of the examples that
    it was trained or chosen on.

    Raises:
        StorageError: It cannot be written.
    """
    causal = student.is_causal(lineage.task)

    def work(folder: Path) -> VersionResult:
        student.copy(folder)
        write_text(folder / _LINEAGE, lineage.model_dump_json(indent=1) + "\n")
        write_text(folder / _LEARNED, json.dumps(sorted(learned)) + "\n")
        write_text(folder / CARD, write_card(lineage, decision, causal=causal))
        return VersionResult(run=lineage.run, arm=lineage.arm, score=decision.score)

    inputs = [student.version, decision]
    run_stage(as_run(registry, lineage.task), VERSIONS.part(student.version), inputs, work)


def copy_version(registry: str, task: Task, version: str, target: Path) -> None:
    """Copy the files of a version that serving needs, each checked while it is copied.

    Raises:
        StorageError: The version is missing, or a file was changed.
    """
    folder, manifest = read_stage(as_run(registry, task), VERSIONS.part(version))
    for entry in manifest.files:
        if entry.name not in (_LINEAGE, _LEARNED):
            copy_file(folder, entry, target / entry.name)


def read_version(registry: str, task: Task, version: str) -> tuple[Path, Lineage, frozenset[str]]:
    """Return a version, each file checked: its local folder, lineage, ids of what it learned from.

    Raises:
        StorageError: It is missing, or a file was changed.
    """
    folder, _ = read_stage(as_run(registry, task), VERSIONS.part(version))
    try:
        lineage = Lineage.model_validate_json((folder / _LINEAGE).read_bytes())
        learned = frozenset(json.loads((folder / _LEARNED).read_bytes()))
    except (OSError, ValueError) as error:
        raise StorageError(f"{folder}: is no version of this registry: {error}") from None
    return folder, lineage, learned


def read_lineage(registry: str, task: str, version: str) -> Lineage:
    """Return a version's lineage, without fetching its model.

    Raises:
        StorageError: It is missing.
    """
    uri = f"{registry.rstrip('/')}/{task}"
    text = read_file(uri, VERSIONS.part(version), _LINEAGE)
    try:
        return Lineage.model_validate_json(text or b"")
    except ValidationError:
        raise StorageError(f"{uri}/{VERSIONS.part(version)}: holds no lineage") from None


def answer_test(run: Run, model: Path, lineage: Lineage, target: Path) -> None:
    """Write the champion's answers to a run's test examples.

    Besides the students' own predictions, nothing else reads the test examples: whatever decides
    reads only answers.
    """
    from daftt_core.modeling import limit_threads  # loads torch
    from daftt_core.student.prediction import Questions

    limit_threads()
    examples = read_examples(run, TEST, None, "test")
    progress = Progress("predict test with the champion", len(examples), "answers")
    questions = Questions(run.task, lineage.student, examples)
    write_jsonl(target, questions.ask(model, lineage.arm, lineage.seed, progress.advance))


def as_run(registry: str, task: Task) -> Run:
    """Return a task's part of a registry as a run, whose stages are the versions."""
    return Run(uri=f"{registry.rstrip('/')}/{task.id}", seed=0, task=task)
