"""The stage that lets a run's best student become the champion, or says why not.

Which student: of the arm that is best on dev the seed that is best on dev, the first of equals.
What is said of it on test is said of that very model. A refusal is a normal end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daftt_core.config import EvaluationConfig, PromotionConfig, StudentConfig
from daftt_core.errors import BusyError, StorageError
from daftt_core.evaluation import Evaluation, read_evaluation
from daftt_core.evaluation.answers import read_traits
from daftt_core.records import (
    Example,
    Prediction,
    SyntheticExample,
    iterate_jsonl,
    read_jsonl,
    write_text,
)
from daftt_core.registry.decide import Challenger, Champion, decide
from daftt_core.registry.ledger import TaskRegistry
from daftt_core.registry.lineage import collect_lineage, keep_population
from daftt_core.registry.models import Decision, Ledger
from daftt_core.registry.versions import Student, keep_version, read_version, registry_of
from daftt_core.stages import (
    ARMS,
    CURATED,
    DATA,
    EVALUATION,
    PREDICTIONS,
    PROMOTION,
    STUDENTS,
    PromotionResult,
    Source,
    Stage,
)
from daftt_core.telemetry import log
from daftt_core.workspace import Run, StageResult, read_stage, run_stage

_FILE = "promotion.json"


def promote(
    run: Run,
    config: PromotionConfig,
    student: StudentConfig,
    evaluation: EvaluationConfig,
    *,
    by: str,
    images: Mapping[str, str] | None = None,
    evaluation_digest: str | None = None,
) -> StageResult[PromotionResult]:
    """Compare a run's best student with its task's champion, and let it take that place or not.

    Stage ``promotion`` gets ``promotion.json``, a :class:`Decision`, and where there was a champion
    its answers to the run's test examples.

    It is safe to repeat: a version that has become the champion is not promoted a second time,
    unless the registry has lost what it knew of that.

    Args:
        run: The run; its evaluation is finished.
        config: What must be shown.
        student: The settings that its students were trained with.
        evaluation: Resamples and coverage of the interval.
        by: Who does it.
        images: The container images by kind.
        evaluation_digest: Digest of the stage ``evaluation``; None takes what is there.

    Raises:
        StorageError: A stage is missing or was changed, or the champion's files were.
        ModelError: The champion cannot be loaded.
    """
    evaluated = read_evaluation(run, evaluation_digest)
    arm = evaluated.chosen_arm
    dev_scores = evaluated.arm(arm).dev_scores
    seed = max(range(len(dev_scores)), key=lambda place: dev_scores[place])
    folder, manifest = read_stage(run, STUDENTS.part(arm))
    challenger = Student.of(folder, manifest, seed, student, run.task)
    registry = registry_of(run, config)
    tasks = TaskRegistry(registry, run.task.id)
    ledger = tasks.read()
    opponent = _opponent(ledger, challenger.version)
    refusals = _taken_back(ledger, challenger.version)
    _, compared = read_stage(run, EVALUATION, evaluation_digest)
    settings = config.model_dump(exclude={"enabled", "registry"})
    inputs = [settings, evaluation, registry, compared.digest, challenger.version, opponent]

    def work(folder: Path) -> PromotionResult:
        champion, unlike = _champion(run, registry, opponent, folder)
        asks = Challenger(
            version=challenger.version,
            arm=arm,
            seed=seed,
            dev_score=dev_scores[seed],
            predictions=_predictions(run, evaluated, arm, seed),
            refusals=(*refusals, *unlike),
        )
        decision = decide(
            *(run.task, asks, champion, evaluated, config, evaluation),
            seed=run.seed,
            evaluation_digest=compared.digest,
        ).model_copy(update={"population": keep_population(registry, run)})
        if decision.promoted and tasks.read().champion != challenger.version:
            lineage = collect_lineage(run, challenger.version, arm, seed, images or {})
            keep_version(registry, challenger, lineage, decision, _learned(run, arm))
            decision = _take_the_place(tasks, decision, run, by)
        elif not decision.promoted:
            tasks.refuse(decision, run.name, by)
        write_text(folder / _FILE, decision.model_dump_json(indent=1) + "\n")
        log.info("%s", decision.reason)
        return _result(decision)

    if _is_forgotten(run, ledger, challenger.version):
        inputs.append("again")
    return run_stage(run, PROMOTION, [*inputs, list(refusals)], work)


def read_decision(run: Run, expected: str | None = None) -> Decision:
    """What :func:`promote` decided.

    Args:
        run: The run.
        expected: The digest its result had; None takes what is there.

    Raises:
        StorageError: The stage is not finished, was made anew, or its file is not a decision.
    """
    path = read_stage(run, PROMOTION, expected)[0] / _FILE
    try:
        return Decision.model_validate_json(path.read_bytes())
    except ValidationError:
        raise StorageError(f"{path}: is not a decision; run the pipeline again") from None


def _is_forgotten(run: Run, ledger: Ledger, version: str) -> bool:
    """Whether this run has promoted the version, and the registry knows nothing of it.

    Somebody has put an older copy of the registry in its place, or an empty one.
    """
    try:
        held = read_decision(run)
    except StorageError:
        return False
    return held.promoted and held.version == version and ledger.promotion_of(version) is None


def _opponent(ledger: Ledger, version: str) -> str | None:
    """The champion to compare with; for a version that is the champion, the one it has replaced."""
    promoted = ledger.promotion_of(version) if ledger.champion == version else None
    return promoted.champion if promoted else ledger.champion


def _taken_back(ledger: Ledger, version: str) -> tuple[str, ...]:
    """What people took back comes into its place again by their will only."""
    event = ledger.taken_back(version)
    if event is None:
        return ()
    return (
        f"{event.by} has taken it back ({event.at}: {event.why}), and it returns only by a "
        f"roll-back to {version}",
    )


def _champion(
    run: Run, registry: str, version: str | None, folder: Path
) -> tuple[Champion | None, tuple[str, ...]]:
    """The champion with its answers; or none, and why it cannot be compared with."""
    if version is None:
        return None, ()
    model, lineage, learned = read_version(registry, run.task, version)
    theirs, ours = lineage.task, run.task
    if (theirs.kind, theirs.label_names) != (ours.kind, ours.label_names):
        answers = ", ".join(theirs.label_names) or "texts"
        return None, (f"champion {version} answers {answers}, which this task's outputs are not",)
    from daftt_core.registry.champion import ANSWERS, answer_test

    if not (folder / ANSWERS).is_file():
        answer_test(run, model, lineage, folder)
    predictions = read_jsonl(folder / ANSWERS, Prediction)
    traits = read_traits(read_stage(run, PREDICTIONS)[0], [one.id for one in predictions])
    return Champion(version, predictions, traits, learned), ()


def _predictions(run: Run, evaluated: Evaluation, arm: str, seed: int) -> list[Prediction]:
    folder, _ = read_stage(run, PREDICTIONS)
    of_seed = evaluated.seeds[seed]
    return [one for one in read_jsonl(folder / f"{arm}.jsonl", Prediction) if one.seed == of_seed]


def _learned(run: Run, arm: str) -> set[str]:
    """Ids of the examples that an arm's students were trained and chosen on."""
    files: dict[Source, tuple[Stage[Any], str]] = {
        "real": (DATA, "labelled"),
        "gold": (DATA, "gold"),
    }
    found = [_ids(run, DATA, "dev")]
    found += [_ids(run, *files.get(source, (CURATED, source))) for source in ARMS[arm]]
    return set().union(*found)


def _ids(run: Run, stage: Stage[Any], name: str) -> set[str]:
    path = read_stage(run, stage)[0] / f"{name}.jsonl"
    if stage is DATA:
        return {example.id for example in iterate_jsonl(path, Example)}
    examples = list(iterate_jsonl(path, SyntheticExample))
    changed = {example.origin for example in examples if example.origin}
    return changed | {example.id for example in examples}


def _take_the_place(tasks: TaskRegistry, decision: Decision, run: Run, by: str) -> Decision:
    """Move the pointer; where another run was first, the decision becomes a refusal."""
    try:
        tasks.promote(decision, run.name, by)
    except BusyError as error:
        lost = {"promoted": False, "reason": f"Not promoted: {error}."}
        decision = decision.model_copy(update=lost)
        tasks.refuse(decision, run.name, by)
    return decision


def _result(decision: Decision) -> PromotionResult:
    compared = decision.gain is not None and decision.interval is not None
    return PromotionResult(
        promoted=decision.promoted,
        reason=decision.reason,
        version=decision.version,
        score=decision.score,
        gain=decision.gain if compared else None,
        gain_low=decision.interval.low if decision.interval and compared else None,
        gain_high=decision.interval.high if decision.interval and compared else None,
    )
