"""Judging the teacher on dev: is it good enough to teach, and can its confidence be believed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from daftt_core.config import SynthesisConfig, TeacherConfig
from daftt_core.engines import Engine, LabelScorer, open_engine, open_local
from daftt_core.errors import GateError
from daftt_core.evaluation import score
from daftt_core.evaluation.calibration import (
    Abstention,
    Calibration,
    ReliabilityBin,
    choose_threshold,
    expected_calibration_error,
    fit_temperature_and_bias,
    reliability_bins,
)
from daftt_core.records import Example, Prediction, seed_for, write_jsonl, write_text
from daftt_core.stages import ASSESSMENT, DATA, STUDENTS, TEACHER, AssessmentResult
from daftt_core.tasks import Form, answer_prompt, parse_answer
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run, StageResult, read_examples, read_forms, read_stage, run_stage


@dataclass(frozen=True)
class _Judged:
    """One model on dev: its answers, their score, and the assessment's fields about calibration."""

    answers: list[Prediction]
    score: float
    calibrated: dict[str, Any]


class Assessment(BaseModel):
    """What was found out about the teacher on dev.

    Attributes:
        metric: The task's metric; scores are in [0, 1].
        dev_examples: How many dev examples there are.
        teacher: Which model teaches, in words.
        dev_score: Its score; of a classifier after calibration, each half of dev being judged with
            the calibration that was fitted on the other half.
        tuned_dev_score: The score of the tuned teacher where another model teaches; else None.
        untuned_dev_score: The score of the model the tuned teacher was made from.
        baseline_dev_score: Mean score of the students trained on the real examples alone.
        passed: Whether the one that teaches beats the baseline.
        label_prior: Probability that it gives each label on inputs without content; empty for text
            outputs.
        calibration: Temperature and biases fitted on all of dev; None for text outputs.
        abstention: Below which confidence no label is given, where a precision is asked for.
        ece_before: Expected calibration error of the raw distribution.
        ece_after: The same after calibration, on the halves as above.
        bins_before: The reliability diagram of the raw distribution.
        bins_after: The same after calibration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: str
    dev_examples: int
    teacher: str = "the fine-tuned teacher"
    dev_score: float
    tuned_dev_score: float | None = None
    untuned_dev_score: float
    baseline_dev_score: float
    passed: bool
    label_prior: dict[str, float] = {}
    calibration: Calibration | None = None
    abstention: Abstention | None = None
    ece_before: float | None = None
    ece_after: float | None = None
    bins_before: list[ReliabilityBin] = []
    bins_after: list[ReliabilityBin] = []


def assess(
    run: Run,
    config: TeacherConfig,
    synthesis: SynthesisConfig,
    data: str,
    teacher: str,
    baseline: str,
) -> StageResult[AssessmentResult]:
    """Score the teacher on dev, calibrate it, and decide whether it may teach.

    What the tuned teacher answered to each dev example is kept in ``dev-predictions.jsonl``, so
    that two teachers can be compared example by example.

    Args:
        run: The run.
        config: The teacher's settings.
        synthesis: How it will be asked.
        data: Digest of the ``data`` stage.
        teacher: Digest of the ``teacher`` stage.
        baseline: Digest of the stage ``students/real``.

    Raises:
        GateError: The teacher does not beat the baseline, and ``on_gate_fail`` says to stop. The
            assessment is kept.
    """

    def work(folder: Path) -> AssessmentResult:
        dev = read_examples(run, DATA, data, "dev")
        form = read_forms(run, data).outputs
        baseline_folder, manifest = read_stage(run, STUDENTS.part("real"), baseline)
        students = STUDENTS.parse(manifest.summary, str(baseline_folder))
        teacher_folder, _ = read_stage(run, TEACHER, teacher)
        progress = Progress("assess teacher", 2, "models")
        untuned = _judge(run, synthesis, open_local(synthesis, config.model), dev, form)
        progress.advance()
        with open_engine(synthesis, teacher_folder) as opened:
            teaching = _judge(run, synthesis, opened.engine, dev, form)
        tuned = teaching
        if not opened.is_tuned:
            tuned = _judge(run, synthesis, open_local(synthesis, teacher_folder), dev, form)
        progress.advance()
        baseline_score = float(np.mean(students.dev_scores))
        assessment = Assessment(
            metric=run.task.primary_metric,
            dev_examples=len(dev),
            teacher=opened.model,
            dev_score=teaching.score,
            tuned_dev_score=None if opened.is_tuned else tuned.score,
            untuned_dev_score=untuned.score,
            baseline_dev_score=baseline_score,
            passed=teaching.score > baseline_score,
            **teaching.calibrated,
        )
        write_jsonl(folder / "dev-predictions.jsonl", tuned.answers)
        write_text(folder / "assessment.json", assessment.model_dump_json(indent=1))
        if assessment.calibration is not None:
            write_text(folder / "calibration.json", assessment.calibration.model_dump_json())
        if assessment.abstention is not None:
            _tell_abstention(assessment.abstention)
            write_text(folder / "abstention.json", assessment.abstention.model_dump_json())
        return AssessmentResult.model_validate(assessment.model_dump())

    asked = synthesis.model_dump(
        include={
            "max_length",
            "max_new_tokens",
            "correct_prior",
            "min_precision",
            "engine",
            "server_url",
            "server_command",
            "server_model",
        }
    )
    inputs = [config, asked, data, teacher, baseline]
    result = run_stage(run, ASSESSMENT, inputs, work)
    _open_gate(run, result.result)
    return result


def _tell_abstention(found: Abstention) -> None:
    if found.threshold is None:
        log.warning(
            "no confidence reaches a precision of %g on dev: the teacher gives no label at all; "
            "lower synthesis_min_precision",
            found.wanted,
        )
    else:
        log.info(
            "labels are given from a confidence of %.3f on: on dev %.0f%% of the examples get one, "
            "and %.1f%% of those are right",
            found.threshold,
            100 * found.coverage,
            100 * (found.precision or 0.0),
        )


def _open_gate(run: Run, found: AssessmentResult) -> None:
    scores = (
        f"on {found.dev_examples} dev examples the {found.metric} of {found.teacher} is "
        f"{found.dev_score:.3f} and the baseline student's {found.baseline_dev_score:.3f}"
    )
    if found.passed:
        log.info("gate passed: %s", scores)
    elif run.on_gate_fail == "continue":
        log.warning("gate not passed, going on as on_gate_fail says: %s", scores)
    else:
        raise GateError(
            f"the teacher is not better than the baseline student: {scores}; label more examples, "
            "train it longer (teacher_epochs), choose a larger teacher (teacher_model), or go on "
            "all the same with on_gate_fail=continue"
        )


def _judge(
    run: Run, synthesis: SynthesisConfig, engine: Engine, dev: Sequence[Example], form: Form
) -> _Judged:
    calibrated: dict[str, Any] = {}
    distributions: list[dict[str, float]] = [{}] * len(dev)
    if run.task.is_classification:
        scorer = LabelScorer(engine, run.task, correct_prior=synthesis.correct_prior)
        probs, calibrated = _calibrate(run, synthesis, dev, scorer.log_probs(dev))
        labels = run.task.label_names
        predicted = [labels[index] for index in probs.argmax(axis=1)]
        distributions = [dict(zip(labels, row, strict=True)) for row in probs.tolist()]
        prior = np.exp(scorer.log_prior()).tolist()
        calibrated["label_prior"] = dict(zip(labels, prior, strict=True))
    else:
        completions = engine.write(
            [answer_prompt(run.task, one) for one in dev],
            [0] * len(dev),
            temperature=0.0,
            top_p=1.0,
            max_new_tokens=synthesis.max_new_tokens,
            stops=form.stops,
        )
        predicted = [parse_answer(run.task, one.text, form) or "" for one in completions]
    answers = [
        Prediction(
            id=example.id,
            arm="teacher",
            seed=run.seed,
            gold=example.output or "",
            output=output,
            distribution=distribution,
        )
        for example, output, distribution in zip(dev, predicted, distributions, strict=True)
    ]
    found = score(run.task.primary_metric, predicted, [answer.gold for answer in answers])
    return _Judged(answers, found, calibrated)


def _calibrate(
    run: Run, synthesis: SynthesisConfig, dev: Sequence[Example], log_probs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Cross-fitted probabilities, the calibration with what it mends, and when to abstain."""
    labels = run.task.label_names
    gold = np.array([labels.index(example.output or "") for example in dev])
    half = np.array([seed_for(run.seed, "calibration", example.id) % 2 for example in dev])
    probs = np.exp(log_probs)
    after = probs.copy()
    for part in (0, 1):
        if (half == part).any() and (half != part).any():
            fitted = fit_temperature_and_bias(log_probs[half != part], gold[half != part])
            after[half == part] = fitted.apply(log_probs[half == part])
    chosen = after.argmax(axis=1)
    abstention = None
    if synthesis.min_precision > 0:
        abstention = choose_threshold(
            after.max(axis=1), chosen == gold, half, synthesis.min_precision
        )
    return after, {
        "abstention": abstention,
        "calibration": fit_temperature_and_bias(log_probs, gold),
        "ece_before": expected_calibration_error(probs, gold),
        "ece_after": expected_calibration_error(after, gold),
        "bins_before": reliability_bins(probs, gold),
        "bins_after": reliability_bins(after, gold),
    }
