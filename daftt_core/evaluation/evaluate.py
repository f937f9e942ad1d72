"""The stage that compares the arms on the test examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daftt_core.config import EvaluationConfig
from daftt_core.errors import DataError, StorageError
from daftt_core.evaluation.answers import (
    Answers,
    read_answers,
    read_dev_answers,
    read_traits,
)
from daftt_core.evaluation.arms import compare_arms, headline, score_answers
from daftt_core.evaluation.label_issues import LABEL_ISSUES, LabelIssue, find_label_issues
from daftt_core.evaluation.models import GOLD_ARM, REAL_ARM, ArmResult, Evaluation
from daftt_core.evaluation.slices import compare_slices
from daftt_core.records import Traits, seed_for, write_jsonl, write_text
from daftt_core.stages import (
    EVALUATION,
    PREDICTIONS,
    STUDENTS,
    ArmScores,
    EvaluationResult,
    StudentsResult,
)
from daftt_core.telemetry import log
from daftt_core.workspace import Run, StageResult, read_stage, run_stage

_FILE = "evaluation.json"
_ORDER = (REAL_ARM, "real+annotated", "real+generated", "real+both")


def evaluate(
    run: Run, config: EvaluationConfig, predictions_digest: str, arm_digests: Mapping[str, str]
) -> StageResult[EvaluationResult]:
    """Compare the arms.

    Writes ``evaluation.json``, an :class:`Evaluation`, and where an input has one
    label ``label-issues.jsonl``, a :class:`LabelIssue` a line: the labels of dev and test that
    the students of the chosen arm contradict.

    Args:
        run: The run.
        config: The settings.
        predictions_digest: Digest of the stage ``predictions``.
        arm_digests: Digest of each stage ``students/<arm>`` by arm, ``real`` included.

    Raises:
        DataError: The arms were not tested alike, or ``real`` is missing.
        StorageError: A stage that is read is not finished, or was changed.
    """
    inputs = [config, predictions_digest, dict(arm_digests)]

    def work(folder: Path) -> EvaluationResult:
        training = _training(run, arm_digests)
        predictions, _ = read_stage(run, PREDICTIONS, predictions_digest)
        answers = read_answers(predictions, run.task, list(training))
        _check_dev_scores(training, answers)
        traits = read_traits(predictions, answers.ids)
        evaluation = _evaluation(run, config, answers, traits, training)
        write_text(folder / _FILE, evaluation.model_dump_json(indent=1) + "\n")
        if run.task.kind == "classification":
            arm = evaluation.chosen_arm
            issues = _label_issues(run, answers, arm, arm_digests[arm])
            write_jsonl(folder / LABEL_ISSUES, issues)
        log.info("%s", evaluation.headline)
        return _result(evaluation)

    return run_stage(run, EVALUATION, inputs, work)


def read_evaluation(run: Run, expected: str | None = None) -> Evaluation:
    """Return what :func:`evaluate` wrote.

    Args:
        run: The run.
        expected: The digest its result had; None takes what is there.

    Raises:
        StorageError: The stage is not finished, was rebuilt, or its file is not an evaluation.
    """
    path = read_stage(run, EVALUATION, expected)[0] / _FILE
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except ValidationError:
        raise StorageError(
            f"{path}: is not an evaluation; another version of DAFTT may have written it: run the "
            "pipeline again"
        ) from None


def _training(run: Run, arm_digests: Mapping[str, str]) -> dict[str, StudentsResult]:
    """Return how the students of every arm were trained, ``real`` first and ``gold`` last."""
    if REAL_ARM not in arm_digests:
        known = ", ".join(arm_digests) or "none"
        raise DataError(
            f"arms: {known}; {REAL_ARM!r} must be among them, to compare the others with"
        )
    first = [arm for arm in _ORDER if arm in arm_digests]
    others = sorted(set(arm_digests) - {*_ORDER, GOLD_ARM})
    training = {}
    for arm in [*first, *others, *({GOLD_ARM} & set(arm_digests))]:
        folder, manifest = read_stage(run, STUDENTS.part(arm), arm_digests[arm])
        students = STUDENTS.parse(manifest.summary, str(folder))
        if students.metric != run.task.primary_metric:
            raise DataError(
                f"arm {arm!r}: its dev scores are {students.metric}, but arms are "
                f"compared by {run.task.primary_metric}; train it again"
            )
        training[arm] = students
    return training


def _check_dev_scores(training: Mapping[str, StudentsResult], answers: Answers) -> None:
    for arm, trained in training.items():
        if len(trained.dev_scores) != len(answers.seeds):
            raise DataError(
                f"arm {arm!r}: {len(trained.dev_scores)} students were trained, but the "
                f"predictions are of {len(answers.seeds)}; predict the test examples again"
            )


def _evaluation(
    run: Run,
    config: EvaluationConfig,
    answers: Answers,
    traits: Traits | None,
    training: Mapping[str, StudentsResult],
) -> Evaluation:
    metric = run.task.primary_metric
    scores = score_answers(answers, list(training))
    resampling: Any = {
        "resamples": config.bootstrap_samples,
        "confidence": config.confidence,
        "seed": seed_for(run.seed, "bootstrap"),
    }
    arms = compare_arms(answers, scores, training, **resampling)
    # the first of equals: an arm with less in it
    chosen = max((arm for arm in arms if arm.arm != GOLD_ARM), key=lambda arm: arm.dev_mean)
    return Evaluation(
        task_id=run.task.id,
        kind=run.task.kind,
        metric=metric,
        confidence=config.confidence,
        test_examples=len(answers.gold),
        seeds=answers.seeds,
        labels=tuple(run.task.label_names),
        arms=arms,
        chosen_arm=chosen.arm,
        headline=headline(arms, chosen, metric, config.confidence),
        slices=compare_slices(answers, scores, list(training), traits, **resampling),
        slice_column=traits.column if traits else "",
    )


def _label_issues(run: Run, test: Answers, arm: str, students_digest: str) -> list[LabelIssue]:
    students, _ = read_stage(run, STUDENTS.part(arm), students_digest)
    dev = read_dev_answers(students, run.task, arm)
    of_dev = find_label_issues("dev", dev, arm) if dev else []
    return [*of_dev, *find_label_issues("test", test, arm)]


def _result(evaluation: Evaluation) -> EvaluationResult:
    return EvaluationResult(
        headline=evaluation.headline,
        metric=evaluation.metric,
        chosen_arm=evaluation.chosen_arm,
        arms={arm.arm: _scores(arm) for arm in evaluation.arms},
    )


def _scores(arm: ArmResult) -> ArmScores:
    if arm.comparison is None:
        return ArmScores(mean=arm.mean, dev_mean=arm.dev_mean)
    return ArmScores(
        mean=arm.mean,
        dev_mean=arm.dev_mean,
        gain=arm.comparison.gain,
        gain_low=arm.comparison.interval.low,
        gain_high=arm.comparison.interval.high,
    )
