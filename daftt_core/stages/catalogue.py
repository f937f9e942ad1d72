"""The catalogue: every stage's name, place in a run, inputs and result; arms and shards.

Code that lists, orders, shows or prices stages takes them from here. Arms are the sets of examples
that students are trained on and compared by: each has the real labelled examples, and differs in
the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from daftt_core.errors import StorageError
from daftt_core.records import explain
from daftt_core.stages import results

R = TypeVar("R", bound=BaseModel)

Source = Literal["real", "annotated", "generated", "gold"]

ARMS: dict[str, tuple[Source, ...]] = {
    "real": ("real",),
    "real+annotated": ("real", "annotated"),
    "real+generated": ("real", "generated"),
    "real+both": ("real", "annotated", "generated"),
    "gold": ("real", "gold"),
}
"""The sources of each arm's examples."""

_SYNTHETIC_SOURCES: dict[str, tuple[Source, ...]] = {
    "annotate": ("annotated",),
    "generate": ("generated",),
    "both": ("annotated", "generated"),
}

DEPTH = 2
"""Levels of folders from a run to a stage, at most: ``students/<arm>``."""


@dataclass(frozen=True)
class Stage(Generic[R]):
    """One stage of a run, or one of its parts.

    Attributes:
        name: Its folder; of a stage with parts the folder that holds theirs.
        result: The model of the summary in its manifest.
        needs: The stages that it reads.
        optional: Whether a run may end well without it.
        has_parts: Whether it has a folder for each arm or shard.
        about_results: Whether it only shows the results of other stages.
    """

    name: str
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
            where: Path or URI of the manifest, for messages.

        Raises:
            StorageError: It is not the summary of such a stage.
        """
        try:
            return self.result.model_validate(summary)
        except ValidationError as error:
            field, problem = next(explain(error, self.result))
            raise StorageError(f"{where}: summary.{field}: {problem}") from None


PREFLIGHT = Stage("preflight", results.PreflightResult)
TRIGGER = Stage("trigger", results.TriggerResult, ("preflight",), optional=True)
DATA = Stage("data", results.DataResult, ("preflight",))
TEST = Stage("test", results.HoldoutResult, ("preflight",), optional=True)
MIXTURE = Stage("mixture", results.MixtureResult, ("data",), optional=True)
TEACHER = Stage("teacher", results.TeacherResult, ("data", "mixture"))
ASSESSMENT = Stage("assessment", results.AssessmentResult, ("data", "teacher", "students/real"))
SYNTHETIC = Stage(
    "synthetic", results.ShardResult, ("data", "teacher", "assessment"), has_parts=True
)
CURATED = Stage("curated", results.CuratedResult, ("data", "synthetic"))
STUDENTS = Stage("students", results.StudentsResult, ("data", "curated"), has_parts=True)
PREDICTIONS = Stage("predictions", results.PredictionsResult, ("test", "students"))
EVALUATION = Stage("evaluation", results.EvaluationResult, ("students", "predictions"))
PROMOTION = Stage(
    "promotion",
    results.PromotionResult,
    ("preflight", "trigger", "data", "test", "curated", "students", "predictions", "evaluation"),
    optional=True,
)
REPORT = Stage("report", results.ReportResult, optional=True, about_results=True)
REVIEW_SHEET = Stage(
    "review/sheet", results.SheetResult, ("curated",), optional=True, about_results=True
)
REVIEW_MARKS = Stage(
    "review/marks",
    results.MarksResult,
    ("curated", "review/sheet"),
    optional=True,
    about_results=True,
)
REVIEW_CONTESTED = Stage(
    "review/contested",
    results.SheetResult,
    ("curated", "students/real"),
    optional=True,
    about_results=True,
)
REVIEW_CORRECTED = Stage(
    "review/corrected",
    results.MarksResult,
    ("curated", "review/contested"),
    optional=True,
    about_results=True,
)

VERSIONS = Stage("versions", results.VersionResult, has_parts=True)
POPULATIONS = Stage("populations", results.PopulationResult, has_parts=True)
"""A task's folder in a registry stores its content as stages, though it is not a run."""

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
    (REPORT, REVIEW_SHEET, REVIEW_MARKS, REVIEW_CONTESTED, REVIEW_CORRECTED),
)
"""Stages on the same line do not wait for each other."""

STAGES = tuple(stage for line in _ORDER for stage in line if stage not in BASELINES)
"""Every stage of a run, in its order."""

MAKING: tuple[Stage[Any], ...] = (DATA, MIXTURE, TEACHER, ASSESSMENT, SYNTHETIC, CURATED)
"""The stages behind synthetic examples; a run without synthetic examples has the others too."""


def last_stages(*, promotes: bool) -> tuple[Stage[Any], ...]:
    """Return the stages that have finished where a run that trains has come to its end.

    Args:
        promotes: Whether its best student may become the champion.
    """
    return (EVALUATION, PROMOTION, REPORT) if promotes else (EVALUATION, REPORT)


_BY_NAME: dict[str, Stage[Any]] = {stage.name: stage for stage in (*STAGES, VERSIONS, POPULATIONS)}


def stage_of(folder_name: str) -> Stage[Any] | None:
    """Return the stage that a folder belongs to: STUDENTS for ``students/real``; None if none."""
    if folder_name in _BY_NAME:
        return _BY_NAME[folder_name]
    stage = _BY_NAME.get(folder_name.partition("/")[0])
    return stage if stage is not None and stage.has_parts else None


def place_of(folder_name: str) -> int:
    """Return a stage's place in the order of a run; stages in one place do not wait for each other.

    Stages that are not in the catalogue come last.
    """
    places = {stage.name: place for place, line in enumerate(_ORDER) for stage in line}
    stage = stage_of(folder_name)
    name = folder_name if folder_name in places or stage is None else stage.name
    return places.get(name, len(_ORDER))


def shard_of(source: str, shard: int, shards: int) -> Stage[results.ShardResult]:
    """Return the stage of one shard of synthesis, such as ``synthetic/annotated-000-of-002``."""
    return SYNTHETIC.part(f"{source}-{shard:03d}-of-{shards:03d}")


def baseline_arms(gold_arm: bool, *, gold_is_known: bool) -> list[str]:
    """Return the arms that need no teacher.

    Args:
        gold_arm: Whether the arm of all true labels is wanted.
        gold_is_known: Whether the data has them.
    """
    return ["real", "gold"] if gold_arm and gold_is_known else ["real"]


def augmented_arms(mode: str) -> list[str]:
    """Return the arms with synthetic examples, the longest first, so that two end together.

    Args:
        mode: What the teacher writes: ``annotate``, ``generate`` or ``both``.
    """
    sources = {"real", *_SYNTHETIC_SOURCES[mode]}
    arms = [arm for arm in ARMS if arm != "real" and sources.issuperset(ARMS[arm])]
    return sorted(arms, key=lambda arm: -len(ARMS[arm]))


def left_out(arms: Iterable[str], kept: Mapping[str, int]) -> dict[str, str]:
    """Return the arms that cannot be trained, and why: one of their synthetic sources is empty.

    Args:
        arms: The arms that are wanted.
        kept: How many examples curation kept, by source.
    """
    reasons = {}
    for arm in arms:
        empty = [source for source in ARMS[arm] if kept.get(source) == 0]
        if empty:
            reasons[arm] = f"curation kept no {' and no '.join(empty)} example"
    return reasons


def synthesis_shards(mode: str, shards: int, **digests: str) -> list[dict[str, str]]:
    """Return the loop items of synthesis: each shard of each source of a mode.

    Args:
        mode: What the teacher writes: ``annotate``, ``generate`` or ``both``.
        shards: Shards of each source.
        digests: Digests of what every shard needs, by name; an item holds all that its iteration
            is handed by other stages, because kfp.local hands a loop nothing else.
    """
    return [
        {"source": source, "shard": str(shard), **digests}
        for source in _SYNTHETIC_SOURCES[mode]
        for shard in range(shards)
    ]
