"""Collecting what a report shows from a run's folder, whatever stages it has.

A run that failed, or that its gate stopped, has a report as well: what is there is shown, and for
what is missing the reason is given.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from daftt_core.accounting import read_ledger, run_prices
from daftt_core.config import Config
from daftt_core.curation import FUNNEL, read_review
from daftt_core.errors import StorageError
from daftt_core.evaluation import Assessment, Evaluation
from daftt_core.records import Rejection, SyntheticExample, explain, iterate_jsonl, seed_for
from daftt_core.reporting.content import (
    MissingStage,
    Promotion,
    ReportData,
    Sample,
    StageRecord,
    TrainingStep,
    Trigger,
)
from daftt_core.stages import (
    ASSESSMENT,
    BASELINES,
    CURATED,
    EVALUATION,
    MIXTURE,
    PREFLIGHT,
    PROMOTION,
    STAGES,
    STUDENTS,
    SYNTHETIC,
    TEACHER,
    TRIGGER,
    CuratedResult,
    Stage,
    augmented_arms,
    baseline_arms,
    place_of,
    shard_of,
    stage_of,
    synthesis_shards,
)
from daftt_core.workspace import (
    Run,
    StageStatus,
    finished_stages,
    read_file,
    read_stage,
    run_statuses,
    stage_manifest,
)

SOURCES = {"annotated": "annotate", "generated": "generate"}
"""What synthetic examples are called, and the mode that makes them."""
SAMPLES_PER_SOURCE = 8
_HISTORY = tuple[TrainingStep, ...]
R = TypeVar("R")


def collect(run: Run) -> ReportData:
    """Read everything the report shows.

    Raises:
        StorageError: A finished stage's file is missing, was changed, or cannot be understood.
        DataError: A stage's file of examples does not hold what it should.
    """
    config = _read(run, PREFLIGHT, "config.json", Config)
    stages, missing = _stages(run, config)
    shown = {stage.name for stage in stages}
    trigger = _read(run, TRIGGER, "verdict.json", Trigger)
    if trigger and not trigger.train:
        missing = ()  # what an earlier run of this folder made is shown, and nothing is awaited
    history = _read(run, TEACHER, "history.json", _HISTORY) if TEACHER.name in shown else None
    return ReportData(
        run_name=run.name,
        seed=run.seed,
        task=run.task,
        on_gate_fail=run.on_gate_fail,
        finished=_finished(run, stages),
        config=config,
        stages=stages,
        missing=missing,
        history=history or (),
        assessment=_read(run, ASSESSMENT, "assessment.json", Assessment)
        if ASSESSMENT.name in shown
        else None,
        **(_curation(run) if CURATED.name in shown else {}),
        evaluation=_read(run, EVALUATION, "evaluation.json", Evaluation)
        if EVALUATION.name in shown
        else None,
        ledger=read_ledger(run, run_prices(run) if config else None),
        promotion=_promotion(run, stages),
        trigger=trigger,
    )


def read_trigger(uri: str) -> Trigger | None:
    """Read whether a run trains, and why; None where it has not come that far, or is unreadable.

    Args:
        uri: The run's folder or prefix.
    """
    try:
        text = read_file(uri, TRIGGER, "verdict.json")
        return None if text is None else Trigger.model_validate_json(text)
    except (StorageError, ValidationError):
        return None


def stage_records(run: Run) -> tuple[StageRecord, ...]:
    """The run's finished stages, in the pipeline's order."""
    return _stages(run, _read(run, PREFLIGHT, "config.json", Config))[0]


def _promotion(run: Run, stages: tuple[StageRecord, ...]) -> Promotion | None:
    """The decision; one about an earlier evaluation is not shown."""
    digests = {stage.name: stage.digest for stage in stages}
    if PROMOTION.name not in digests:
        return None
    found: Promotion = _read(run, PROMOTION, "promotion.json", Promotion)
    return found if found.evaluation == digests.get(EVALUATION.name) else None


def _read(run: Run, stage: Stage[Any], name: str, kind: Any) -> Any:
    """The JSON file of a stage as ``kind``; None where the stage is not finished."""
    if stage_manifest(run, stage) is None:
        return None
    path = read_stage(run, stage)[0] / name
    if not path.is_file():
        raise StorageError(f"{path}: is missing; remove {path.parent} and run again")
    return _understand(path, kind, path.read_bytes())


def _understand(path: Path, kind: Any, text: str | bytes) -> Any:
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        where, wrong = next(explain(error, kind))
        raise StorageError(
            f"{path}: {where or 'file'}: {wrong}; another version of DAFTT may have written it: "
            "run the pipeline again"
        ) from None


def _curation(run: Run) -> dict[str, Any]:
    """What curation kept, and samples of each source."""
    folder, _ = read_stage(run, CURATED)
    curation = _read(run, CURATED, FUNNEL, CuratedResult)
    samples = []
    for source, funnel in curation.funnel.items():
        if funnel.read:
            kept = iterate_jsonl(folder / f"{source}.jsonl", SyntheticExample)
            entries = iterate_jsonl(folder / "rejected.jsonl", Rejection)
            rejected = (entry for entry in entries if entry.example.source == source)
            sample = Sample(
                source=source,
                kept=_choose(run.seed, kept, lambda example: example.id),
                rejected=_choose(run.seed, rejected, lambda entry: entry.example.id),
            )
            samples.append(sample)
    return {"curation": curation, "samples": samples, "review": read_review(run)}


def _choose(seed: int, records: Iterable[R], id_of: Callable[[R], str]) -> tuple[R, ...]:
    """A few records, whatever order they come in."""

    def place(record: R) -> int:
        return seed_for(seed, "sample", id_of(record))

    return tuple(heapq.nsmallest(SAMPLES_PER_SOURCE, records, key=place))


def _stages(
    run: Run, config: Config | None
) -> tuple[tuple[StageRecord, ...], tuple[MissingStage, ...]]:
    statuses = {status.stage: status for status in run_statuses(run) if _is_work(status.stage)}
    records = {record.name: record for record in _committed(run)}
    for name in [name for name in records if config and not _asked_for(name, config)]:
        del records[name]
        statuses.pop(name, None)
    broken = [status for status in statuses.values() if status.stage not in records]
    stale = {
        name
        for name in records
        for other in broken
        if name in statuses
        and place_of(other.stage) < place_of(name)
        and statuses[name].updated < other.updated
    }
    finished = tuple(
        sorted(
            (record for name, record in records.items() if name not in stale),
            key=lambda record: (place_of(record.name), record.name),
        )
    )
    return finished, _missing(finished, broken, stale, run)


def _committed(run: Run) -> Iterator[StageRecord]:
    for name in finished_stages(run):
        manifest = stage_manifest(run, name)
        if manifest is None or not _is_work(name):
            continue
        yield StageRecord(
            name=name,
            digest=manifest.digest,
            files=manifest.files,
            summary=manifest.summary,
            seconds=manifest.seconds,
            peak_memory_bytes=manifest.peak_memory_bytes,
        )


def _is_work(name: str) -> bool:
    """Whether a stage is one of the pipeline's, and not about its results."""
    stage = stage_of(name)
    return stage is None or not stage.about_results


def _asked_for(name: str, config: Config) -> bool:
    """Whether the settings ask for this shard, arm or mixture; others are left from earlier."""
    stage, mode, shards = stage_of(name), config.synthesis.mode, config.synthesis.shards
    if stage is SYNTHETIC:
        items = synthesis_shards(mode, shards)
        return name in {shard_of(item["source"], int(item["shard"]), shards).name for item in items}
    if stage is STUDENTS:
        arms = baseline_arms(config.student.gold_arm, gold_is_known=True) + augmented_arms(mode)
        return name in {STUDENTS.part(arm).name for arm in arms}
    return stage is not MIXTURE or config.mixture.tasks > 0


def _missing(
    finished: tuple[StageRecord, ...], broken: list[StageStatus], stale: set[str], run: Run
) -> tuple[MissingStage, ...]:
    stopped = next((record for record in finished if record.name == ASSESSMENT.name), None)
    gate_closed = stopped and stopped.summary.get("passed") is False and run.on_gate_fail == "stop"
    found = {status.stage: _why(status) for status in broken}
    first = min(broken, key=lambda status: place_of(status.stage), default=None)
    done = {record.name for record in finished}
    expected = [stage.name for stage in STAGES if not stage.optional]
    early = {baseline.name for baseline in BASELINES}
    for name in (*expected, *sorted(stale)):
        begun = {stage_of(other) for other in (*found, *done) if other not in early}
        if name in found or name in {stage.name for stage in begun if stage}:
            continue
        if name in stale:
            reason = "left by an earlier attempt with other settings; not shown"
        elif gate_closed:
            reason = "not run, because the teacher did not pass its gate"
        elif first and place_of(first.stage) < place_of(name):
            reason = f"not run, because {first.stage} did not finish"
        else:
            reason = "not run"
        found[name] = MissingStage(name=name, reason=reason)
    return tuple(sorted(found.values(), key=lambda stage: (place_of(stage.name), stage.name)))


def _why(status: StageStatus) -> MissingStage:
    if status.state == "failed":
        return MissingStage(name=status.stage, reason=status.message or "failed", failed=True)
    return MissingStage(name=status.stage, reason="interrupted, or still running")


def _finished(run: Run, stages: tuple[StageRecord, ...]) -> str:
    finished = finished_stages(run)
    times = [finished[stage.name] for stage in stages]
    return datetime.fromtimestamp(max(times), UTC).strftime("%Y-%m-%d %H:%M UTC") if times else ""
