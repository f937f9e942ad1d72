"""The stage that promotes a run's best student to the champion, or says why not.

The student is the one with the best seed on dev, the first of equals, of the arm that is best on
dev. Its test score is that of this very model. A refusal is a normal end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daftt_core.config import EvaluationConfig, PromotionConfig, StudentConfig
from daftt_core.errors import BusyError, StorageError
from daftt_core.evaluation.answers import read_traits
from daftt_core.records import (
    Example,
    Prediction,
    SyntheticExample,
    iterate_jsonl,
    read_jsonl,
    write_text,
)
from daftt_core.registry.chosen import chosen_student
from daftt_core.registry.decide import Challenger, Champion, decide
from daftt_core.registry.ledger import TaskRegistry
from daftt_core.registry.lineage import collect_lineage, keep_population
from daftt_core.registry.model_registry import register_or_warn
from daftt_core.registry.models import Decision, Ledger
from daftt_core.registry.versions import (
    answer_test,
    keep_version,
    read_version,
    registry_of,
)
from daftt_core.stages import (
    ARMS,
    CURATED,
    DATA,
    EVALUATION,
    PREDICTIONS,
    PROMOTION,
    PromotionResult,
    Source,
    Stage,
)
from daftt_core.telemetry import log
from daftt_core.workspace import Run, StageResult, read_stage, run_stage

_FILE = "promotion.json"
_CHAMPION_ANSWERS = "champion.jsonl"


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
    """Compare a run's best student with its task's champion, and promote or refuse it.

    Stage ``promotion`` gets ``promotion.json``, a :class:`Decision`, and if there was a champion
    its answers to the run's test examples.

    It is safe to repeat: a version that has become the champion is not promoted a second time,
    unless the registry has lost the promotion. A promoted version is registered in Kubeflow's Model
    Registry where the settings name one; a failure to do so is a warning.

    Args:
        run: The run; its evaluation is finished.
        config: The rule.
        student: The settings that its students were trained with.
        evaluation: Resamples and coverage of the interval.
        by: Who promotes it.
        images: The container images by kind.
        evaluation_digest: Digest of the stage ``evaluation``; None takes the present one.

    Raises:
        StorageError: A stage is missing or was changed, or the champion's files were.
        ModelError: The champion cannot be loaded.
    """
    chosen = chosen_student(run, student, evaluation_digest)
    arm, seed, best = chosen.arm, chosen.seed, chosen.student
    registry = registry_of(run, config)
    tasks = TaskRegistry(registry, run.task.id)
    ledger = tasks.read()
    opponent = _opponent(ledger, best.version)
    refusals = _rolled_back(ledger, best.version)
    compared_digest = read_stage(run, EVALUATION, evaluation_digest)[1].digest
    settings = config.model_dump(exclude={"enabled", "registry", "model_registry"})
    inputs = [settings, evaluation, registry, compared_digest, best.version, opponent]

    def work(folder: Path) -> PromotionResult:
        champion, obstacles = _champion(run, registry, opponent, folder)
        challenger = Challenger(
            version=best.version,
            arm=arm,
            seed=seed,
            dev_score=chosen.dev_score,
            predictions=chosen.predictions(),
            refusals=(*refusals, *obstacles),
        )
        decision = decide(
            run.task,
            challenger,
            champion,
            chosen.evaluated,
            config,
            evaluation,
            seed=run.seed,
            evaluation_digest=compared_digest,
        ).model_copy(update={"population": keep_population(registry, run)})
        if decision.promoted and tasks.read().champion != best.version:
            lineage = collect_lineage(run, best.version, arm, seed, images or {})
            keep_version(registry, best, lineage, decision, _learned(run, arm))
            decision = _promote_or_refuse(tasks, decision, run, by)
        elif not decision.promoted:
            tasks.refuse(decision, run.name, by)
        write_text(folder / _FILE, decision.model_dump_json(indent=1) + "\n")
        log.info("%s", decision.reason)
        return _result(decision)

    if _is_forgotten(run, ledger, best.version):
        inputs.append("again")
    result = run_stage(run, PROMOTION, [*inputs, list(refusals)], work)
    if config.model_registry and result.result.promoted:
        register_or_warn(config.model_registry, registry, run.task, result.result.version)
    return result


def read_decision(run: Run, expected: str | None = None) -> Decision:
    """Read the decision of :func:`promote`; with ``expected`` only the one with that digest.

    Raises:
        StorageError: The stage is not finished, was rebuilt, or its file is not a decision.
    """
    path = read_stage(run, PROMOTION, expected)[0] / _FILE
    try:
        return Decision.model_validate_json(path.read_bytes())
    except ValidationError:
        raise StorageError(f"{path}: is not a decision; run the pipeline again") from None


def _is_forgotten(run: Run, ledger: Ledger, version: str) -> bool:
    """Return whether this run has promoted the version, and the registry does not know of it.

    That happens when the registry was replaced by an older copy, or by an empty one.
    """
    try:
        decision = read_decision(run)
    except StorageError:
        return False
    is_promoted = decision.promoted and decision.version == version
    return is_promoted and ledger.promotion_of(version) is None


def _opponent(ledger: Ledger, version: str) -> str | None:
    """Return the champion to compare with; for the champion itself the one it has replaced."""
    promoted = ledger.promotion_of(version) if ledger.champion == version else None
    return promoted.champion if promoted else ledger.champion


def _rolled_back(ledger: Ledger, version: str) -> tuple[str, ...]:
    """Refuse a version that people rolled back: only they may bring it back."""
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
    """Return the champion with its answers; or none, and why it cannot be compared with."""
    if version is None:
        return None, ()
    model, lineage, learned = read_version(registry, run.task, version)
    theirs, ours = lineage.task, run.task
    if (theirs.kind, theirs.label_names) != (ours.kind, ours.label_names):
        answers = ", ".join(theirs.label_names) or "texts"
        return None, (f"champion {version} answers {answers}, which this task's outputs are not",)
    file = folder / _CHAMPION_ANSWERS
    if not file.is_file():
        answer_test(run, model, lineage, file)
    predictions = read_jsonl(file, Prediction)
    traits = read_traits(read_stage(run, PREDICTIONS)[0], [answer.id for answer in predictions])
    return Champion(version, predictions, traits, learned), ()


def _learned(run: Run, arm: str) -> set[str]:
    """Return the ids of the examples that an arm's students were trained and chosen on."""
    files: dict[Source, tuple[Stage[Any], str]] = {
        "real": (DATA, "labelled"),
        "gold": (DATA, "gold"),
    }
    sources = [files.get(source, (CURATED, source)) for source in ARMS[arm]]
    return set().union(*(_ids(run, stage, name) for stage, name in [(DATA, "dev"), *sources]))


def _ids(run: Run, stage: Stage[Any], name: str) -> set[str]:
    path = read_stage(run, stage)[0] / f"{name}.jsonl"
    if stage is DATA:
        return {example.id for example in iterate_jsonl(path, Example)}
    examples = list(iterate_jsonl(path, SyntheticExample))
    origins = {example.origin for example in examples if example.origin}
    return origins | {example.id for example in examples}


def _promote_or_refuse(tasks: TaskRegistry, decision: Decision, run: Run, by: str) -> Decision:
    """Make the student the champion; if another run was first, the decision becomes a refusal."""
    try:
        tasks.promote(decision, run.name, by)
    except BusyError as error:
        refusal = {"promoted": False, "reason": f"Not promoted: {error}."}
        decision = decision.model_copy(update=refusal)
        tasks.refuse(decision, run.name, by)
    return decision


def _result(decision: Decision) -> PromotionResult:
    interval = decision.interval
    return PromotionResult(
        promoted=decision.promoted,
        reason=decision.reason,
        version=decision.version,
        score=decision.score,
        gain=decision.gain if interval else None,
        gain_low=interval.low if interval else None,
        gain_high=interval.high if interval else None,
    )
