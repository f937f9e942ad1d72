"""Collect the content of a report from a run's folder, whatever stages it has.

A run that failed, or that its gate stopped, has a report as well: it shows what is there, and
gives the reason for what is missing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from daftt_core.accounting import read_ledger, run_prices
from daftt_core.config import Config
from daftt_core.curation import FUNNEL, read_review
from daftt_core.errors import StorageError
from daftt_core.evaluation import LABEL_ISSUES, Assessment, Evaluation, LabelIssue
from daftt_core.records import (
    Example,
    Prediction,
    Rejection,
    SyntheticExample,
    explain,
    iterate_jsonl,
    seed_for,
)
from daftt_core.reporting.content import (
    ChosenStudent,
    LabelIssues,
    MissingStage,
    Mistake,
    Promotion,
    ReportData,
    Sample,
    StageRecord,
    TrainingStep,
)
from daftt_core.stages import (
    ASSESSMENT,
    BASELINES,
    CURATED,
    DATA,
    EVALUATION,
    MIXTURE,
    PREDICTIONS,
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
from daftt_core.storage import MANIFEST
from daftt_core.telemetry import Usage
from daftt_core.workspace import (
    Run,
    StageStatus,
    finished_stages,
    read_file,
    read_result,
    read_stage,
    run_statuses,
    stage_manifest,
)

SAMPLES_PER_SOURCE = 8
MISTAKES = 8
SHOWN_LABEL_ISSUES = 12
"""Of dev, and as many of test."""

_DEV, _DEV_ANSWERS = "dev.jsonl", "dev-predictions.jsonl"
R = TypeVar("R")


class _Architecture(BaseModel):
    is_encoder_decoder: bool = False


def collect(run: Run) -> ReportData:
    """Read everything the report shows.

    Raises:
        StorageError: A finished stage's file is missing, was changed, or cannot be understood.
        DataError: A stage's file of examples does not hold what it should.
    """
    config = _read(run, PREFLIGHT, "config.json", Config)
    stages, missing = _stages(run, config)
    digests = {stage.name: stage.digest for stage in stages}

    def read(stage: Stage[Any], name: str, kind: Any) -> Any:
        return _read(run, stage, name, kind) if stage.name in digests else None

    trigger = read_result(run, TRIGGER)
    if trigger and not trigger.train:
        missing = ()  # the report shows the results of an earlier run in this folder
    promotion: Promotion | None = read(PROMOTION, "promotion.json", Promotion)
    if promotion and promotion.evaluation != digests.get(EVALUATION.name):
        promotion = None  # the decision was about an earlier evaluation
    evaluation: Evaluation | None = read(EVALUATION, "evaluation.json", Evaluation)
    return ReportData(
        run_name=run.name,
        uri=run.uri,
        seed=run.seed,
        task=run.task,
        on_gate_fail=run.on_gate_fail,
        finished=_finished(run, stages),
        config=config,
        stages=stages,
        missing=missing,
        history=read(TEACHER, "history.json", tuple[TrainingStep, ...]) or (),
        assessment=read(ASSESSMENT, "assessment.json", Assessment),
        **(_curation(run) if CURATED.name in digests else {}),
        evaluation=evaluation,
        student=_student(run, evaluation, stages) if evaluation else None,
        label_issues=_label_issues(run, stages) if evaluation else (),
        ledger=read_ledger(run, run_prices(run) if config else None),
        promotion=promotion,
        trigger=trigger,
    )


def _read(run: Run, stage: Stage[Any], name: str, kind: Any) -> Any:
    """Return the JSON file of a stage as ``kind``; None if the stage is not finished."""
    if stage_manifest(run, stage) is None:
        return None
    path = read_stage(run, stage)[0] / name
    if not path.is_file():
        raise StorageError(f"{path}: is missing; remove {path.parent} and run again")
    return _parse(path.read_bytes(), kind, str(path))


def _parse(content: bytes, kind: Any, where: str) -> Any:
    """Return JSON as ``kind``; ``where`` names its file in messages."""
    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        field, reason = next(explain(error, kind))
        raise StorageError(
            f"{where}: {field or 'file'}: {reason}; another version of DAFTT may have written it: "
            "run the pipeline again"
        ) from None


def _read_lines(run: Run, stage: Stage[Any], name: str, kind: type[R]) -> list[R]:
    """Return the records of a small file of a finished stage, which is fetched alone."""
    content = read_file(run.uri, stage, name) or b""
    return [_parse(line, kind, f"{run.uri}/{stage}/{name}") for line in content.splitlines()]


def _curation(run: Run) -> dict[str, Any]:
    """Return what curation kept, and samples of each source."""
    folder, _ = read_stage(run, CURATED)
    curation = _read(run, CURATED, FUNNEL, CuratedResult)
    samples = []
    for source, funnel in curation.funnel.items():
        if funnel.read:
            kept = iterate_jsonl(folder / f"{source}.jsonl", SyntheticExample)
            rejections = iterate_jsonl(folder / "rejected.jsonl", Rejection)
            rejected = (entry for entry in rejections if entry.example.source == source)
            sample = Sample(
                source=source,
                kept=_choose(run.seed, kept, lambda example: example.id),
                rejected=_choose(run.seed, rejected, lambda entry: entry.example.id),
            )
            samples.append(sample)
    return {"curation": curation, "samples": samples, "review": read_review(run)}


def _student(
    run: Run, evaluation: Evaluation, stages: Iterable[StageRecord]
) -> ChosenStudent | None:
    """Return the student that the evaluation recommends; None where its files are not known."""
    arm = evaluation.chosen
    index = arm.best_seed
    stage, records = STUDENTS.part(arm.arm), {record.name: record for record in stages}
    trained, predictions = records.get(stage.name), records.get(PREDICTIONS.name)
    if trained is None:
        return None
    prefix = f"seed-{index}/"
    files = [
        file
        for file in trained.files
        if file.name.startswith(prefix) and file.name != f"{prefix}{MANIFEST}"
    ]
    seconds, devices = None, list[str]()
    if predictions is not None:
        seconds = PREDICTIONS.parse(predictions.summary, PREDICTIONS.name).seconds_per_example
        used = predictions.usage or Usage()
        devices = [*used.gpu_seconds, *used.cpu_seconds]
    architecture, name = _Architecture(is_encoder_decoder=True), f"{prefix}config.json"
    if not run.task.is_classification and trained.entry(name):
        content = read_file(run.uri, stage, name) or b"{}"
        architecture = _parse(content, _Architecture, f"{run.uri}/{stage}/{name}")
    mistakes, data = None, records.get(DATA.name)
    if run.task.is_classification and trained.entry(_DEV_ANSWERS) and data and data.entry(_DEV):
        mistakes = _mistakes(run, stage, index)
    return ChosenStudent(
        arm=arm.arm,
        seed=index,
        score=arm.scores[index],
        size_bytes=sum(file.size for file in files),
        seconds_per_example=seconds,
        device=next(iter(devices), ""),
        causal=not architecture.is_encoder_decoder,
        wrong=None if mistakes is None else len(mistakes),
        mistakes=tuple((mistakes or [])[:MISTAKES]),
    )


def _mistakes(run: Run, trained: Stage[Any], index: int) -> list[Mistake]:
    """Return what a student got wrong on dev, the most confident first.

    Dev, because people who look at mistakes on test begin to work towards it.
    """
    examples = _dev_examples(run)
    wrong = [
        answer
        for answer in _read_lines(run, trained, _DEV_ANSWERS, Prediction)
        if answer.seed == index and answer.output != answer.gold and answer.id in examples
    ]
    mistakes = [
        Mistake(
            text=examples[answer.id].text,
            text_pair=examples[answer.id].text_pair,
            gold=answer.gold,
            output=answer.output,
            confidence=run.task.probability_of(answer.output, answer.distribution),
        )
        for answer in wrong
    ]
    return sorted(mistakes, key=lambda mistake: -mistake.confidence)


def _label_issues(run: Run, stages: Iterable[StageRecord]) -> tuple[LabelIssues, ...]:
    """Return the labels of dev and test that may be wrong; none where they were not looked for."""
    records = {record.name: record for record in stages}
    evaluated, data = records[EVALUATION.name], records.get(DATA.name)
    if not evaluated.entry(LABEL_ISSUES):
        return ()
    issues = _read_lines(run, EVALUATION, LABEL_ISSUES, LabelIssue)
    examples = _dev_examples(run) if data and data.entry(_DEV) else {}
    found = []
    for split in ("dev", "test"):
        those = [issue for issue in issues if issue.split == split]
        if those:
            shown = tuple((issue, examples.get(issue.id)) for issue in those[:SHOWN_LABEL_ISSUES])
            found.append(LabelIssues(split=split, count=len(those), shown=shown))
    return tuple(found)


def _dev_examples(run: Run) -> dict[str, Example]:
    return {example.id: example for example in _read_lines(run, DATA, _DEV, Example)}


def _choose(seed: int, records: Iterable[R], id_of: Callable[[R], str]) -> tuple[R, ...]:
    """Return a few random records, the same whatever order they come in."""

    def draw(record: R) -> int:
        return seed_for(seed, "sample", id_of(record))

    return tuple(heapq.nsmallest(SAMPLES_PER_SOURCE, records, key=draw))


def _stages(
    run: Run, config: Config | None
) -> tuple[tuple[StageRecord, ...], tuple[MissingStage, ...]]:
    statuses = {status.stage: status for status in run_statuses(run) if _is_work(status.stage)}
    records = {record.name: record for record in _committed(run)}
    for name in [name for name in records if config and not _is_wanted(name, config)]:
        del records[name]
        statuses.pop(name, None)
    unfinished = [status for status in statuses.values() if status.stage not in records]
    stale = {
        name
        for name in records
        for status in unfinished
        if name in statuses
        and place_of(status.stage) < place_of(name)
        and statuses[name].updated < status.updated
    }
    current = [record for name, record in records.items() if name not in stale]
    finished = tuple(sorted(current, key=_in_order))
    return finished, _missing(finished, unfinished, stale, run)


def _in_order(stage: StageRecord | MissingStage) -> tuple[int, str]:
    return place_of(stage.name), stage.name


def _committed(run: Run) -> Iterator[StageRecord]:
    for name, finished in finished_stages(run).items():
        manifest = stage_manifest(run, name)
        if manifest is not None and _is_work(name):
            yield StageRecord(name=name, finished=finished, **dict(manifest))


def _is_work(name: str) -> bool:
    """Return whether a stage is one of the pipeline's, and not about its results."""
    stage = stage_of(name)
    return stage is None or not stage.about_results


def _is_wanted(name: str, config: Config) -> bool:
    """Return whether the settings include this shard, arm or mixture; others are from earlier."""
    stage, mode, shards = stage_of(name), config.synthesis.mode, config.synthesis.shards
    if stage is SYNTHETIC:
        items = synthesis_shards(mode, shards)
        return name in {shard_of(item["source"], int(item["shard"]), shards).name for item in items}
    if stage is STUDENTS:
        arms = baseline_arms(config.student.gold_arm, gold_is_known=True) + augmented_arms(mode)
        return name in {STUDENTS.part(arm).name for arm in arms}
    return stage is not MIXTURE or config.mixture.tasks > 0


def _missing(
    finished: tuple[StageRecord, ...], unfinished: list[StageStatus], stale: set[str], run: Run
) -> tuple[MissingStage, ...]:
    """Explain every stage that is not finished, also those that never began."""
    assessment = next((record for record in finished if record.name == ASSESSMENT.name), None)
    gate_closed = (
        assessment and assessment.summary.get("passed") is False and run.on_gate_fail == "stop"
    )
    missing = {status.stage: _why(status) for status in unfinished}
    first = min(unfinished, key=lambda status: place_of(status.stage), default=None)
    begun = {record.name for record in finished} | {*missing}
    # students of real examples may come before the teacher, and say nothing about the other arms
    early = {baseline.name for baseline in BASELINES}
    begun |= {stage.name for name in begun - early if (stage := stage_of(name))}
    expected = {stage.name for stage in STAGES if not stage.optional}
    for name in (expected - begun) | stale:
        if name in stale:
            reason = "left by an earlier attempt with other settings; not shown"
        elif gate_closed:
            reason = "not run, because the teacher did not pass its gate"
        elif first and place_of(first.stage) < place_of(name):
            reason = f"not run, because {first.stage} did not finish"
        else:
            reason = "not run"
        missing[name] = MissingStage(name=name, reason=reason)
    return tuple(sorted(missing.values(), key=_in_order))


def _why(status: StageStatus) -> MissingStage:
    if status.state == "failed":
        return MissingStage(name=status.stage, reason=status.message or "failed", failed=True)
    return MissingStage(name=status.stage, reason="interrupted, or still running")


def _finished(run: Run, stages: tuple[StageRecord, ...]) -> str:
    committed = finished_stages(run)
    times = [committed[stage.name] for stage in stages]
    return datetime.fromtimestamp(max(times), UTC).strftime("%Y-%m-%d %H:%M UTC") if times else ""
