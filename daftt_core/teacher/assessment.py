"""Assessing the teacher on dev: is it good enough to teach, and can its confidence be believed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daftt_core.config import SynthesisConfig, TeacherConfig
from daftt_core.engines import Engine, LabelScorer, open_engine, open_local
from daftt_core.errors import DataError, GateError
from daftt_core.evaluation import Interval, score, score_examples
from daftt_core.evaluation.calibration import (
    Abstention,
    Assessment,
    choose_threshold,
    expected_calibration_error,
    fit_temperature_and_bias,
    reliability_bins,
)
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.records import Example, Prediction, read_jsonl, seed_for, write_jsonl, write_text
from daftt_core.stages import ASSESSMENT, DATA, STUDENTS, TEACHER, AssessmentResult
from daftt_core.tasks import Form, answer_prompt, parse_answer
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run, StageResult, read_examples, read_forms, read_stage, run_stage

_CONFIDENCE = 0.95
_RESAMPLES = 10_000


@dataclass(frozen=True)
class _Scored:
    """One model on dev: its answers, their score, and the assessment's fields about calibration."""

    answers: list[Prediction]
    score: float
    calibration: dict[str, Any]


def assess(
    run: Run,
    config: TeacherConfig,
    synthesis: SynthesisConfig,
    data: str,
    teacher: str,
    baseline: str,
) -> StageResult[AssessmentResult]:
    """Score the teacher on dev, calibrate it, and decide whether it may teach.

    The tuned teacher's answers to the dev examples are kept in ``dev-predictions.jsonl``, so that
    two teachers can be compared example by example.

    Args:
        run: The run.
        config: The teacher's settings.
        synthesis: The settings of its queries.
        data: Digest of the ``data`` stage.
        teacher: Digest of the ``teacher`` stage.
        baseline: Digest of the stage ``students/real``.

    Raises:
        DataError: The baseline's students did not answer the same dev examples.
        GateError: The teacher is clearly no better than the baseline, and ``on_gate_fail`` says to
            stop. The assessment is kept.
    """

    def work(folder: Path) -> AssessmentResult:
        dev = read_examples(run, DATA, data, "dev")
        form = read_forms(run, data).outputs
        baseline_folder, manifest = read_stage(run, STUDENTS.part("real"), baseline)
        students = STUDENTS.parse(manifest.summary, str(baseline_folder))
        teacher_folder, _ = read_stage(run, TEACHER, teacher)
        progress = Progress("assess teacher", 2, "models")
        untuned = _score(run, synthesis, open_local(synthesis, config.model), dev, form)
        progress.advance()
        with open_engine(synthesis, teacher_folder) as opened:
            teaching = _score(run, synthesis, opened.engine, dev, form)
        tuned = teaching
        if not opened.is_tuned:
            tuned = _score(run, synthesis, open_local(synthesis, teacher_folder), dev, form)
        progress.advance()
        baseline_answers = read_jsonl(baseline_folder / "dev-predictions.jsonl", Prediction)
        gain = gain_over(
            baseline_answers,
            teaching.answers,
            run.task.primary_metric,
            seed=seed_for(run.seed, "gate"),
        )
        assessment = Assessment(
            metric=run.task.primary_metric,
            dev_examples=len(dev),
            teacher=opened.model,
            dev_score=teaching.score,
            tuned_dev_score=None if opened.is_tuned else tuned.score,
            untuned_dev_score=untuned.score,
            baseline_dev_score=float(np.mean(students.dev_scores)),
            gain_low=gain.low,
            gain_high=gain.high,
            passed=gain.high >= 0,
            **teaching.calibration,
        )
        write_jsonl(folder / "dev-predictions.jsonl", tuned.answers)
        write_text(folder / "assessment.json", assessment.model_dump_json(indent=1))
        if assessment.calibration is not None:
            write_text(folder / "calibration.json", assessment.calibration.model_dump_json())
        if assessment.abstention is not None:
            _log_abstention(assessment.abstention)
            write_text(folder / "abstention.json", assessment.abstention.model_dump_json())
        return AssessmentResult.model_validate(assessment.model_dump())

    queries = synthesis.model_dump(
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
    inputs = [config, queries, data, teacher, baseline]
    result = run_stage(run, ASSESSMENT, inputs, work)
    _check_gate(run, result.result)
    return result


def _log_abstention(abstention: Abstention) -> None:
    if abstention.threshold is None:
        log.warning(
            "no confidence reaches a precision of %g on dev: the teacher gives no label at all; "
            "lower synthesis_min_precision",
            abstention.wanted,
        )
    else:
        log.info(
            "labels are given from a confidence of %.3f on: on dev %.0f%% of the examples get one, "
            "and %.1f%% of those are right",
            abstention.threshold,
            100 * abstention.coverage,
            100 * (abstention.precision or 0.0),
        )


def _check_gate(run: Run, assessment: AssessmentResult) -> None:
    scores = (
        f"on {assessment.dev_examples} dev examples the {assessment.metric} of "
        f"{assessment.teacher} is {assessment.dev_score:.3f} and the baseline student's "
        f"{assessment.baseline_dev_score:.3f}"
    )
    if assessment.gain_low is not None and assessment.gain_high is not None:
        scores += (
            f" (95% interval of the difference: {assessment.gain_low:+.1f} to "
            f"{assessment.gain_high:+.1f} points)"
        )
    if assessment.passed and (assessment.gain_low or 0) > 0:
        log.info("gate passed, the teacher is better than the baseline student: %s", scores)
    elif assessment.passed:
        log.warning(
            "gate passed, but whether the teacher is better than the baseline student cannot be "
            "told: %s",
            scores,
        )
    elif run.on_gate_fail == "continue":
        log.warning("gate not passed, continuing because of on_gate_fail: %s", scores)
    else:
        raise GateError(
            f"the teacher is clearly no better than the baseline student: {scores}; label more "
            "examples, train it longer (teacher_epochs), choose a larger teacher (teacher_model), "
            "or continue all the same with on_gate_fail=continue"
        )


def gain_over(
    baseline: Sequence[Prediction], teacher: Sequence[Prediction], metric: str, *, seed: int
) -> Interval:
    """Return the 95% interval of the teacher's mean score minus that of the baseline, in points.

    It is resampled over the dev examples, the same for both, and over the baseline's seeds, as an
    arm's gain is over the test examples.

    Args:
        baseline: Answers of all of the baseline's students.
        teacher: The teacher's answers to the same examples.
        metric: A metric that is a mean over examples.
        seed: Seed of the resampling.

    Raises:
        DataError: A student of the baseline did not answer the same examples.
    """
    by_seed: dict[int, dict[str, Prediction]] = {}
    for answer in baseline:
        by_seed.setdefault(answer.seed, {})[answer.id] = answer
    ids = [answer.id for answer in teacher]
    for seed, answers in by_seed.items():
        if answers.keys() != set(ids):
            raise DataError(
                f"students/real: seed {seed} did not answer the dev examples that the teacher "
                "answers; train it again"
            )

    def scores(answers: Sequence[Prediction]) -> NDArray[np.float64]:
        outputs, golds = [one.output for one in answers], [one.gold for one in answers]
        return score_examples(metric, outputs, golds)

    students = [scores([answers[id_] for id_ in ids]) for answers in by_seed.values()]
    both = np.array([students, [scores(teacher)] * len(students)])
    means = 100 * bootstrap_means(both, _RESAMPLES, seed, "compare the teacher with the baseline")
    return percentile_interval(means[:, 1] - means[:, 0], _CONFIDENCE)


def _score(
    run: Run, synthesis: SynthesisConfig, engine: Engine, dev: Sequence[Example], form: Form
) -> _Scored:
    calibration: dict[str, Any] = {}
    distributions: list[dict[str, float]] = [{}] * len(dev)
    if run.task.is_classification:
        scorer = LabelScorer(engine, run.task, correct_prior=synthesis.correct_prior)
        probs, calibration = _calibrate(run, synthesis, dev, scorer.log_probs(dev))
        labels = run.task.label_names
        predicted = [labels[index] for index in probs.argmax(axis=1)]
        distributions = [dict(zip(labels, row, strict=True)) for row in probs.tolist()]
        prior = np.exp(scorer.log_prior()).tolist()
        calibration["label_prior"] = dict(zip(labels, prior, strict=True))
    else:
        completions = engine.write(
            [answer_prompt(run.task, example) for example in dev],
            [0] * len(dev),
            temperature=0.0,
            top_p=1.0,
            max_new_tokens=synthesis.max_new_tokens,
            stops=form.stops,
        )
        predicted = [parse_answer(run.task, written.text, form) or "" for written in completions]
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
    metric = run.task.primary_metric
    dev_score = score(metric, predicted, [answer.gold for answer in answers])
    return _Scored(answers, dev_score, calibration)


def _calibrate(
    run: Run, synthesis: SynthesisConfig, dev: Sequence[Example], log_probs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return cross-fitted probabilities, and the assessment's fields about calibration."""
    labels = run.task.label_names
    gold = np.array([labels.index(example.output or "") for example in dev])
    half = np.array([seed_for(run.seed, "calibration", example.id) % 2 for example in dev])
    probs = np.exp(log_probs)
    after = probs.copy()
    for judged in (half == 0, half == 1):
        if judged.any() and not judged.all():
            fitted = fit_temperature_and_bias(log_probs[~judged], gold[~judged])
            after[judged] = fitted.apply(log_probs[judged])
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
