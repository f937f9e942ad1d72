"""Assessing the teacher on dev: is it good enough to teach, and can its confidence be believed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from daftt_core.config import SynthesisConfig, TeacherConfig
from daftt_core.engines import (
    ChannelScorer,
    Engine,
    LabelScorer,
    LabelSetScorer,
    OpenEngine,
    open_engine,
    open_local,
)
from daftt_core.errors import DataError, GateError
from daftt_core.evaluation import score
from daftt_core.evaluation.arms import gain_over
from daftt_core.evaluation.calibration import (
    CHANNEL,
    TEACHER_ALONE,
    Abstention,
    Assessment,
    Committee,
    Opinion,
    choose_threshold,
    expected_calibration_error,
    fit_calibration,
    reliability_bins,
)
from daftt_core.evaluation.label_sets import (
    EVEN,
    fit_label_sets,
    halves,
    label_decisions,
    label_matrix,
    outputs_of,
)
from daftt_core.records import Example, Prediction, read_jsonl, seed_for, write_jsonl, write_text
from daftt_core.stages import ASSESSMENT, DATA, STUDENTS, TEACHER, AssessmentResult
from daftt_core.student import EMBEDDINGS, EmbeddingRegression, mean_log_probs
from daftt_core.tasks import Form, answer_prompt, parse_answer
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run, StageResult, read_examples, read_forms, read_stage, run_stage

_LEAST_PROBABILITY = 1e-12
_OTHERS = {"students", "embeddings"}
_LEAST_WEIGHT = 0.005
"""An opinion that counts less changes no label."""
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class _Scored:
    """Answers to dev, by one model or by several together.

    Attributes:
        answers: The answers.
        score: Their score.
        log_probs: The model's own, of shape [examples, labels]; None unless an input has one label.
        calibration: The assessment's fields about calibration.
    """

    answers: list[Prediction]
    score: float
    log_probs: NDArray[np.float64] | None = None
    calibration: dict[str, Any] = field(default_factory=dict)


def assess(
    run: Run,
    config: TeacherConfig,
    synthesis: SynthesisConfig,
    data: str,
    teacher: str,
    baseline: str,
) -> StageResult[AssessmentResult]:
    """Score the teacher on dev, calibrate it, and decide whether it may teach.

    Beside the teacher's answers, its reading of the inputs after each label, the students of the
    labels alone and a regression on embeddings may give their opinions of labels. A weight for each
    is fitted with the calibration, and dev decides who is heard. All of this is cross-fitted on two
    halves of dev.

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
            opinions = _ask_teacher(run, config, synthesis, opened, dev, teaching)
        tuned = teaching
        if not opened.is_tuned:
            tuned = _score(run, synthesis, open_local(synthesis, teacher_folder), dev, form)
        progress.advance()
        by_seed = _by_seed(baseline_folder, dev)
        if opinions and synthesis.second_opinion:
            opinions |= _ask_others(run, baseline_folder, dev, by_seed)
        taught, told = teaching, dict[str, Any]()
        if len(opinions) > 1:
            given, written = _choose(run, synthesis, dev, teaching, opinions)
            if tuple(given.weights) != (TEACHER_ALONE,):
                taught = given.labels
            told["opinions"] = _listed(run, synthesis, dev, opinions, given.weights)
            told["written"] = None if written is given else written.stored
            told["baseline"] = baseline if _OTHERS & {*given.weights, *written.weights} else ""
        gain = gain_over(
            by_seed,
            taught.answers,
            run.task.primary_metric,
            seed=seed_for(run.seed, "gate"),
            title="compare the teacher with the baseline",
        )
        assessment = Assessment(
            metric=run.task.primary_metric,
            dev_examples=len(dev),
            teacher=opened.model,
            dev_score=teaching.score,
            labels_dev_score=None if taught is teaching else taught.score,
            tuned_dev_score=None if opened.is_tuned else tuned.score,
            untuned_dev_score=untuned.score,
            baseline_dev_score=float(np.mean(students.dev_scores)),
            gain_low=gain.low,
            gain_high=gain.high,
            passed=gain.high >= 0,
            **teaching.calibration | taught.calibration | told,
        )
        write_jsonl(folder / "dev-predictions.jsonl", tuned.answers)
        write_text(folder / "assessment.json", assessment.model_dump_json(indent=1))
        if assessment.abstention is not None:
            _log_abstention(assessment.abstention)
        return AssessmentResult.model_validate(assessment.model_dump())

    queries = synthesis.model_dump(
        include={
            "max_length",
            "max_new_tokens",
            "correct_prior",
            "min_precision",
            "second_opinion",
            "channel_labels",
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
    taught, who = assessment.dev_score, assessment.teacher
    if assessment.labels_dev_score is not None:
        taught, who = assessment.labels_dev_score, f"{who} and other opinions together"
    scores = (
        f"on {assessment.dev_examples} dev examples the {assessment.metric} of {who} is "
        f"{taught:.3f} and the baseline students' {assessment.baseline_dev_score:.3f}"
    )
    if assessment.gain_low is not None and assessment.gain_high is not None:
        scores += (
            f" (95% interval of the difference: {assessment.gain_low:+.1f} to "
            f"{assessment.gain_high:+.1f} points)"
        )
    if assessment.passed and (assessment.gain_low or 0) > 0:
        log.info("gate passed, what is taught is better than the baseline students: %s", scores)
    elif assessment.passed:
        log.warning(
            "gate passed, but whether what is taught is better than the baseline students cannot "
            "be told: %s",
            scores,
        )
    elif run.on_gate_fail == "continue":
        log.warning("gate not passed, continuing because of on_gate_fail: %s", scores)
    else:
        raise GateError(
            f"what would be taught is clearly no better than the baseline students: {scores}; "
            "label more examples, train the teacher longer (teacher_epochs), choose a larger one "
            "(teacher_model), or continue all the same with on_gate_fail=continue"
        )


def _by_seed(baseline: Path, dev: Sequence[Example]) -> list[list[Prediction]]:
    """Return each baseline student's answers to the dev examples, in their order.

    Raises:
        DataError: A student did not answer the same examples.
    """
    by_seed: dict[int, dict[str, Prediction]] = {}
    for answer in read_jsonl(baseline / "dev-predictions.jsonl", Prediction):
        by_seed.setdefault(answer.seed, {})[answer.id] = answer
    ids = [example.id for example in dev]
    for seed, answers in by_seed.items():
        if answers.keys() != set(ids):
            raise DataError(
                f"students/real: seed {seed} did not answer the dev examples that the teacher "
                "answers; train it again"
            )
    return [[answers[id_] for id_ in ids] for answers in by_seed.values()]


def _score(
    run: Run, synthesis: SynthesisConfig, engine: Engine, dev: Sequence[Example], form: Form
) -> _Scored:
    if run.task.is_multilabel:
        return _score_label_sets(run, synthesis, engine, dev)
    if run.task.is_classification:
        scorer = LabelScorer(engine, run.task, correct_prior=synthesis.correct_prior)
        scored = _judge(run, synthesis, dev, [scorer.log_probs(dev)])
        prior = np.exp(scorer.log_prior()).tolist()
        scored.calibration["label_prior"] = dict(zip(run.task.label_names, prior, strict=True))
        return scored
    completions = engine.write(
        [answer_prompt(run.task, example) for example in dev],
        [0] * len(dev),
        temperature=0.0,
        top_p=1.0,
        max_new_tokens=synthesis.max_new_tokens,
        stops=form.stops,
    )
    texts = [parse_answer(run.task, written.text, form) or "" for written in completions]
    answers = _answers(run, dev, texts, [{}] * len(dev))
    return _Scored(answers, _score_of(run, answers))


def _ask_teacher(
    run: Run,
    config: TeacherConfig,
    synthesis: SynthesisConfig,
    opened: OpenEngine,
    dev: Sequence[Example],
    teaching: _Scored,
) -> dict[str, NDArray[np.float64]]:
    """Return the teacher's opinions of the dev examples' labels: as it answers, and as it reads."""
    if teaching.log_probs is None:
        return {}
    opinions = {TEACHER_ALONE: teaching.log_probs}
    writes = config.directions == "both" or not opened.is_tuned
    if writes and len(run.task.labels) <= synthesis.channel_labels:
        log_probs = ChannelScorer(opened.engine, run.task).log_probs(dev)
        if log_probs is None:
            log.info("%s cannot say how probable an input is; it is not asked", opened.model)
        else:
            opinions[CHANNEL] = log_probs
    return opinions


def _ask_others(
    run: Run, baseline: Path, dev: Sequence[Example], by_seed: Sequence[Sequence[Prediction]]
) -> dict[str, NDArray[np.float64]]:
    """Return the opinions of those who know the labels alone."""
    distributions = [[one.distribution for one in each] for each in by_seed]
    opinions = {"students": mean_log_probs(distributions, run.task)}
    if (baseline / EMBEDDINGS).is_dir():
        regression = EmbeddingRegression.load(baseline / EMBEDDINGS, run.task)
        opinions["embeddings"] = regression.log_probs(dev)
    return opinions


def _choose(
    run: Run,
    synthesis: SynthesisConfig,
    dev: Sequence[Example],
    teaching: _Scored,
    opinions: dict[str, NDArray[np.float64]],
) -> tuple[_Committee, _Committee]:
    """Return who is to label real inputs, and who those that the teacher writes.

    Of the teacher's answers alone and with the opinions that cost little, dev prefers what has the
    lower log-loss. The channel costs a reading of the input for each label, so it has to be clearly
    better: by the 95% interval of its gain. Of an input that was written for a label it would only
    say so, hence the second committee.

    Args:
        run: The run.
        synthesis: The settings of the teacher's queries.
        dev: The dev examples.
        teaching: The labels by the teacher's answers alone.
        opinions: Log-probabilities by name, each of shape [examples, labels].
    """
    cheap = tuple(name for name in opinions if name != CHANNEL)
    candidates: dict[tuple[str, ...], _Scored] = {(TEACHER_ALONE,): teaching}
    for names in (cheap, (TEACHER_ALONE, CHANNEL), tuple(opinions)):
        if names not in candidates and opinions.keys() >= set(names):
            candidates[names] = _judge(run, synthesis, dev, [opinions[name] for name in names])
    losses = {names: _log_losses(judged.answers) for names, judged in candidates.items()}
    log.info(
        "log-loss on dev: %s",
        ", ".join(f"{loss.mean():.3f} by {' + '.join(names)}" for names, loss in losses.items()),
    )

    def best(*, with_channel: bool) -> tuple[str, ...]:
        names = [each for each in losses if (CHANNEL in each) == with_channel]
        return min(names, key=lambda each: float(losses[each].mean()))

    plain = best(with_channel=False)
    written = given = _Committee.of(plain, candidates[plain])
    if CHANNEL in opinions:
        wider = best(with_channel=True)
        gain = losses[plain] - losses[wider]
        if gain.mean() > _NORMAL_95 * gain.std(ddof=1) / np.sqrt(len(gain)):
            given = _Committee.of(wider, candidates[wider])
    log.info(
        "labels of real inputs are given by %s; of inputs that the teacher writes, by %s",
        " + ".join(given.weights),
        " + ".join(written.weights),
    )
    return given, written


@dataclass(frozen=True)
class _Committee:
    """The labels of some opinions together.

    Attributes:
        labels: What they say of dev.
        weights: The weight of each that is heard; who has none is not asked.
    """

    labels: _Scored
    weights: dict[str, float]

    @classmethod
    def of(cls, names: Sequence[str], labels: _Scored) -> _Committee:
        """Leave out whose weight is zero, unless nobody has any."""
        calibration = labels.calibration["calibration"]
        fitted = dict(zip(names, calibration.weights, strict=True))
        heard = {name: weight for name, weight in fitted.items() if weight >= _LEAST_WEIGHT}
        heard = heard or fitted
        calibration = calibration.model_copy(update={"weights": tuple(heard.values())})
        return cls(
            replace(labels, calibration=labels.calibration | {"calibration": calibration}), heard
        )

    @property
    def stored(self) -> Committee:
        """Return them as the assessment keeps them."""
        calibration = self.labels.calibration
        return Committee(
            heard=tuple(self.weights),
            calibration=calibration["calibration"],
            abstention=calibration["abstention"],
        )


def _listed(
    run: Run,
    synthesis: SynthesisConfig,
    dev: Sequence[Example],
    opinions: dict[str, NDArray[np.float64]],
    weights: dict[str, float],
) -> tuple[Opinion, ...]:
    """Return what each opinion is worth alone, and its weight."""
    return tuple(
        Opinion(
            name=name,
            dev_score=_judge(run, synthesis, dev, [log_probs]).score,
            weight=weights.get(name),
        )
        for name, log_probs in opinions.items()
    )


def _judge(
    run: Run,
    synthesis: SynthesisConfig,
    dev: Sequence[Example],
    opinions: Sequence[NDArray[np.float64]],
) -> _Scored:
    """Return the labels that opinions give together, calibrated on dev and cross-fitted there.

    Args:
        run: The run.
        synthesis: The settings of the teacher's queries.
        dev: The dev examples.
        opinions: Log-probabilities, each of shape [examples, labels].
    """
    labels = run.task.label_names
    gold = np.array([labels.index(example.output or "") for example in dev])
    half = halves(run.seed, [example.id for example in dev])
    before = np.exp(opinions[0])
    after = before.copy()
    for judged in (half == 0, half == 1):
        if judged.any() and not judged.all():
            fitted = fit_calibration([each[~judged] for each in opinions], gold[~judged])
            after[judged] = fitted.apply(*(each[judged] for each in opinions))
    chosen = after.argmax(axis=1)
    abstention = None
    if synthesis.min_precision > 0:
        abstention = choose_threshold(
            after.max(axis=1), chosen == gold, half, synthesis.min_precision
        )
    distributions = [dict(zip(labels, row, strict=True)) for row in after.tolist()]
    answers = _answers(run, dev, [labels[index] for index in chosen], distributions)
    calibration: dict[str, Any] = {
        "abstention": abstention,
        "calibration": fit_calibration(opinions, gold),
        "ece_before": expected_calibration_error(before, gold),
        "ece_after": expected_calibration_error(after, gold),
        "bins_before": reliability_bins(before, gold),
        "bins_after": reliability_bins(after, gold),
    }
    return _Scored(answers, _score_of(run, answers), opinions[0], calibration)


def _log_losses(answers: Sequence[Prediction]) -> NDArray[np.float64]:
    right = [answer.distribution[answer.gold] for answer in answers]
    return np.asarray(-np.log(np.maximum(right, _LEAST_PROBABILITY)))


def _answers(
    run: Run,
    dev: Sequence[Example],
    outputs: Sequence[str],
    distributions: Sequence[dict[str, float]],
) -> list[Prediction]:
    return [
        Prediction(
            id=example.id,
            arm="teacher",
            seed=run.seed,
            gold=example.output or "",
            output=output,
            distribution=distribution,
        )
        for example, output, distribution in zip(dev, outputs, distributions, strict=True)
    ]


def _score_of(run: Run, answers: Sequence[Prediction]) -> float:
    outputs, golds = [answer.output for answer in answers], [answer.gold for answer in answers]
    return score(run.task.primary_metric, outputs, golds)


def _score_label_sets(
    run: Run, synthesis: SynthesisConfig, engine: Engine, dev: Sequence[Example]
) -> _Scored:
    """Return the sets of labels that a model gives, calibrated on dev and cross-fitted there."""
    task = run.task
    scorer = LabelSetScorer(engine, task, correct_prior=synthesis.correct_prior)
    log_odds = scorer.log_odds(dev)
    gold = label_matrix(task, [example.output or "" for example in dev])
    half = halves(run.seed, [example.id for example in dev])
    before = expit(log_odds)
    after, decided = before.copy(), before >= EVEN
    for judged in (half == 0, half == 1):
        if judged.any() and not judged.all():
            fitted = fit_label_sets(log_odds[~judged], gold[~judged])
            after[judged] = fitted.apply(log_odds[judged])
            decided[judged] = after[judged] >= fitted.thresholds
    outputs = outputs_of(task, decided)
    distributions = [dict(zip(task.label_names, row, strict=True)) for row in after.tolist()]
    abstention = None
    if synthesis.min_precision > 0:
        confidence = [
            task.probability_of(output, probs)
            for output, probs in zip(outputs, distributions, strict=True)
        ]
        right = (decided == gold).all(axis=1)
        abstention = choose_threshold(confidence, right, half, synthesis.min_precision)
    raw, calibrated = label_decisions(before, gold), label_decisions(after, gold)
    prior = expit(scorer.prior()).tolist()
    calibration: dict[str, Any] = {
        "abstention": abstention,
        "label_sets": fit_label_sets(log_odds, gold),
        "label_prior": dict(zip(task.label_names, prior, strict=True)),
        "ece_before": expected_calibration_error(*raw),
        "ece_after": expected_calibration_error(*calibrated),
        "bins_before": reliability_bins(*raw),
        "bins_after": reliability_bins(*calibrated),
    }
    answers = _answers(run, dev, outputs, distributions)
    return _Scored(answers, _score_of(run, answers), calibration=calibration)
