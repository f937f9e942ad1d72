"""Students that can answer: a version of the registry, the one a run chooses, an exported folder.

An exported folder says in ``daftt.json`` how it is asked: its task, and the greatest lengths that
it was measured with. It names no folder of the machine that it comes from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from daftt_core.errors import ModelError, StorageError
from daftt_core.records import Record, explain, write_text
from daftt_core.registry.chosen import chosen_student
from daftt_core.registry.lineage import run_config
from daftt_core.registry.models import Lineage, Version
from daftt_core.registry.versions import as_run, read_lineage, read_version
from daftt_core.stages import STUDENTS, VERSIONS
from daftt_core.storage import read_manifest, verify
from daftt_core.storage.models import fetch_model, is_remote_model
from daftt_core.tasks import Task
from daftt_core.workspace import Run, content_uri

FACTS = "daftt.json"
"""The file of an exported folder's :class:`ServingFacts`."""


class ServingFacts(Record):
    """How a student is asked.

    Attributes:
        version: Its version.
        task: Its task, complete.
        max_length: Greatest length of an input in tokens, as it was measured.
        max_target_length: Greatest length of an output text in tokens.
        label_thresholds: The probability from which each label is given, where several may be: that
            of an independent yes or no, such as the sigmoid of its logit.
    """

    version: Version
    task: Task
    max_length: int
    max_target_length: int
    label_thresholds: dict[str, float] = Field(default={}, exclude_if=lambda value: not value)

    @classmethod
    def of(cls, lineage: Lineage) -> ServingFacts:
        """Return the facts in a lineage."""
        return cls(
            version=lineage.version,
            task=lineage.task,
            max_length=lineage.student.max_length,
            max_target_length=lineage.student.max_target_length,
        )


@dataclass(frozen=True)
class Servable:
    """A student that can answer.

    Attributes:
        model: Its folder on this machine.
        facts: How it is asked.
        title: What it is, in words.
        uri: The prefix of a bucket that its files lie under; empty for those of this machine.
    """

    model: Path
    facts: ServingFacts
    title: str
    uri: str = ""


def write_facts(folder: Path, lineage: Lineage) -> None:
    """Write how a student is asked into its folder."""
    facts = ServingFacts.of(lineage)
    if lineage.task.is_multilabel:
        settings = json.loads((folder / "config.json").read_bytes())
        facts = facts.model_copy(update={"label_thresholds": settings["label_thresholds"]})
    write_text(folder / FACTS, facts.model_dump_json(indent=1) + "\n")


def servable_version(registry: str, task: str, version: str) -> Servable:
    """Return a version of the registry, each file checked.

    Raises:
        StorageError: It is missing, or a file was changed.
    """
    lineage = read_lineage(registry, task, version)
    folder, _, _ = read_version(registry, lineage.task, version)
    uri = content_uri(as_run(registry, lineage.task), VERSIONS.part(version))
    return Servable(folder, ServingFacts.of(lineage), f"version {version} of {task}", uri)


def servable_student(run: Run) -> Servable:
    """Return the student that a run chooses, each file checked.

    Raises:
        StorageError: The run is not evaluated yet, or a stage was changed.
    """
    config = run_config(run).student
    chosen = chosen_student(run, config)
    facts = ServingFacts(
        version=chosen.student.version,
        task=run.task,
        max_length=config.max_length,
        max_target_length=config.max_target_length,
    )
    uri = content_uri(run, STUDENTS.part(chosen.arm))
    uri = f"{uri}/{chosen.folder.name}" if uri else ""
    return Servable(chosen.folder, facts, chosen.title, uri)


def is_exported(folder: Path) -> bool:
    """Return whether a folder of this machine holds an exported student."""
    return (folder / FACTS).is_file()


def exported_student(place: str) -> Servable:
    """Return the student in a folder that was exported, or in its copy in a bucket.

    Raises:
        ModelError: There is none.
        StorageError: It cannot be read, or a file was changed.
    """
    folder = fetch_model(place) if is_remote_model(place) else Path(place).expanduser()
    if not is_exported(folder):
        raise ModelError(
            f"{place}: has no {FACTS}, so it is no exported student; one is written by: daftt "
            "export RUN FOLDER"
        )
    manifest = read_manifest(folder)
    if manifest is not None:
        verify(folder, manifest)
    try:
        facts = ServingFacts.model_validate_json((folder / FACTS).read_bytes())
    except OSError as error:
        raise StorageError(f"{place}/{FACTS}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        problem = ": ".join(filter(None, next(explain(error, ServingFacts))))
        raise ModelError(f"{place}/{FACTS}: {problem}; export the student again") from None
    return Servable(folder, facts, f"{place}, version {facts.version} of {facts.task.id}")
