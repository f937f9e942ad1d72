"""The catalogue: every stage's name, place in a run, what it reads, and the model of its result.

Whoever lists, orders, shows or prices stages asks here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from daftt_core.errors import StorageError
from daftt_core.records import explain
from daftt_core.stages.results import (
    AssessmentResult,
    CuratedResult,
    DataResult,
    EvaluationResult,
    HoldoutResult,
    MarksResult,
    MixtureResult,
    PopulationResult,
    PredictionsResult,
    PreflightResult,
    PromotionResult,
    ReportResult,
    ShardResult,
    SheetResult,
    StudentsResult,
    TeacherResult,
    TriggerResult,
    VersionResult,
)

R = TypeVar("R", bound=BaseModel)

DEPTH = 2
"""Folders from a run to a stage's own, at most: ``students/<arm>``; what lies deeper is its own."""


@dataclass(frozen=True)
class Stage(Generic[R]):
    """One stage of a run, or one of its parts.

    Attributes:
        name: Its folder; of a stage with parts the folder that holds theirs.
        title: What it is called where people read it.
        result: The model of the summary in its manifest.
        needs: The stages that it reads.
        optional: Whether a run may end well without it.
        has_parts: Whether it has a folder for each arm or shard.
        about_results: Whether it shows what others made, and makes nothing of the run's own.
    """

    name: str
    title: str
    result: type[R]
    needs: tuple[str, ...] = ()
    optional: bool = False
    has_parts: bool = False
    about_results: bool = False

    def __str__(self) -> str:
        return self.name

    def part(self, name: str) -> Stage[R]:
        """Return the part for an arm or a shard, such as ``students/real``."""
        return replace(self, name=f"{self.name}/{name}", has_parts=False)

    def parse(self, summary: Mapping[str, Any], where: str) -> R:
        """Return the summary in a manifest as this stage's result.

        Args:
            summary: The summary.
            where: The manifest's place, for messages.

        Raises:
            StorageError: It is not the summary of such a stage.
        """
        try:
            return self.result.model_validate(summary)
        except ValidationError as error:
            field, wrong = next(explain(error, self.result))
            raise StorageError(f"{where}: summary.{field}: {wrong}") from None


PREFLIGHT = Stage("preflight", "Preflight", PreflightResult)
TRIGGER = Stage("trigger", "Trigger", TriggerResult, ("preflight",), optional=True)
DATA = Stage("data", "Data", DataResult, ("preflight",))
TEST = Stage("test", "Test examples", HoldoutResult, ("preflight",), optional=True)
MIXTURE = Stage("mixture", "Mixture", MixtureResult, ("data",), optional=True)
TEACHER = Stage("teacher", "Teacher", TeacherResult, ("data", "mixture"))
ASSESSMENT = Stage(
    "assessment", "Assessment", AssessmentResult, ("data", "teacher", "students/real")
)
SYNTHETIC = Stage(
    "synthetic",
    "Synthetic examples",
    ShardResult,
    ("data", "teacher", "assessment"),
    has_parts=True,
)
CURATED = Stage("curated", "Curation", CuratedResult, ("data", "synthetic"))
STUDENTS = Stage("students", "Students", StudentsResult, ("data", "curated"), has_parts=True)
PREDICTIONS = Stage("predictions", "Predictions", PredictionsResult, ("test", "students"))
EVALUATION = Stage("evaluation", "Evaluation", EvaluationResult, ("students", "predictions"))
PROMOTION = Stage(
    "promotion",
    "Promotion",
    PromotionResult,
    ("preflight", "trigger", "data", "test", "curated", "students", "predictions", "evaluation"),
    optional=True,
)
REPORT = Stage("report", "Report", ReportResult, optional=True, about_results=True)
REVIEW_SHEET = Stage(
    "review/sheet", "Review", SheetResult, ("curated",), optional=True, about_results=True
)
REVIEW_MARKS = Stage(
    "review/marks",
    "Review",
    MarksResult,
    ("curated", "review/sheet"),
    optional=True,
    about_results=True,
)

VERSIONS = Stage("versions", "Versions", VersionResult, has_parts=True)
POPULATIONS = Stage("populations", "Populations", PopulationResult, has_parts=True)
"""A task's part of a registry keeps what it holds as stages, but is no run."""

BASELINES = tuple(
    replace(STUDENTS.part(arm), needs=("data",), optional=True) for arm in ("real", "gold")
)
"""Students that need no teacher, and may come before it."""

_ORDER: tuple[tuple[Stage[Any], ...], ...] = (
    (PREFLIGHT,),
    (TRIGGER,),
    (DATA, TEST),
    (MIXTURE,),
    (TEACHER, *BASELINES),
    (ASSESSMENT,),
    (SYNTHETIC,),
    (CURATED,),
    (STUDENTS,),
    (PREDICTIONS,),
    (EVALUATION,),
    (PROMOTION,),
    (REPORT, REVIEW_SHEET, REVIEW_MARKS),
)
"""Stages on the same line do not wait for each other."""

STAGES = tuple(stage for line in _ORDER for stage in line if stage not in BASELINES)
"""Every stage of a run, in its order."""

MAKING: tuple[Stage[Any], ...] = (DATA, MIXTURE, TEACHER, ASSESSMENT, SYNTHETIC, CURATED)
"""The stages that synthetic examples take; what else they need would be made without them too."""


def last_stages(*, promotes: bool) -> tuple[Stage[Any], ...]:
    """Return the stages that have finished where a run that trains has come to its end.

    Args:
        promotes: Whether its best student may become the champion.
    """
    return (EVALUATION, PROMOTION, REPORT) if promotes else (EVALUATION, REPORT)


_BY_NAME: dict[str, Stage[Any]] = {stage.name: stage for stage in (*STAGES, VERSIONS, POPULATIONS)}


def stage_of(folder_name: str) -> Stage[Any] | None:
    """Return the stage that a folder belongs to: STUDENTS for ``students/real``; None if none."""
    return _BY_NAME.get(folder_name) or _with_parts(folder_name.partition("/")[0])


def _with_parts(name: str) -> Stage[Any] | None:
    stage = _BY_NAME.get(name)
    return stage if stage is not None and stage.has_parts else None


def place_of(folder_name: str) -> int:
    """Return when in a run a stage's turn is; stages in the same place do not wait for each other.

    What is not in the catalogue comes last.
    """
    places = {stage.name: place for place, line in enumerate(_ORDER) for stage in line}
    stage = stage_of(folder_name)
    name = folder_name if folder_name in places or stage is None else stage.name
    return places.get(name, len(_ORDER))


def shard_of(source: str, shard: int, shards: int) -> Stage[ShardResult]:
    """Return the stage of one shard of synthesis, such as ``synthetic/annotated-000-of-002``."""
    return SYNTHETIC.part(f"{source}-{shard:03d}-of-{shards:03d}")
