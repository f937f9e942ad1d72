"""Turns answers into results: each arm's scores, its comparison with ``real``, and the headline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from daftt_core.evaluation.answers import Answers
from daftt_core.evaluation.calibration import expected_calibration_error, reliability_bins
from daftt_core.evaluation.label_sets import label_decisions, majority_of_labels
from daftt_core.evaluation.models import (
    GOLD_ARM,
    REAL_ARM,
    ArmResult,
    ClassScores,
    Comparison,
    Interval,
)
from daftt_core.evaluation.scoring import score_all, score_examples
from daftt_core.evaluation.statistics import (
    bootstrap_means,
    gap_closed,
    holm,
    majority_vote,
    mcnemar_mid_p,
    percentile_interval,
)
from daftt_core.records import Prediction
from daftt_core.stages import StudentsResult
from daftt_core.tasks import METRICS

Floats = npt.NDArray[np.float64]
_GAIN_CONFIDENCE, _GAIN_RESAMPLES = 0.95, 10_000


def score_answers(answers: Answers, arms: Sequence[str]) -> Floats:
    """Score each answer by the primary metric, shape [arms, seeds, examples]."""
    metric = answers.task.primary_metric
    return np.stack(
        [
            [score_examples(metric, row, answers.gold) for row in answers.outputs[arm]]
            for arm in arms
        ]
    )


def compare_arms(
    answers: Answers,
    scores: Floats,
    training: Mapping[str, StudentsResult],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> tuple[ArmResult, ...]:
    """Return the result of every arm.

    Args:
        answers: What the students answered.
        scores: What :func:`score_answers` made of it, in the order of ``training``.
        training: How the students of each arm were trained, in the order of the results.
        resamples: Bootstrap resamples behind each interval.
        confidence: Coverage of the intervals.
        seed: Seed of the resampling.
    """
    names = list(training)
    real = names.index(REAL_ARM)
    resampled = bootstrap_means(scores, resamples, seed)
    means = dict(zip(names, map(float, scores.mean(axis=(1, 2))), strict=True))
    p_values = _p_values(answers, names)
    claims = [name for name in p_values if name != GOLD_ARM]
    corrected = dict(zip(claims, holm([p_values[name] for name in claims]), strict=True))
    results = []
    for place, name in enumerate(names):
        comparison = None
        if name != REAL_ARM:
            gains = 100 * (resampled[:, place] - resampled[:, real])
            interval = percentile_interval(gains, confidence)
            comparison = Comparison(
                gain=100 * (means[name] - means[REAL_ARM]),
                interval=interval,
                mcnemar_p=p_values.get(name),
                mcnemar_p_holm=corrected.get(name),
                significant=interval.excludes_zero,
                gap_closed=None
                if name == GOLD_ARM or GOLD_ARM not in means
                else gap_closed(means[name], means[REAL_ARM], means[GOLD_ARM]),
            )
        by_seed = scores[place].mean(axis=1)
        metrics = [score_all(answers.task, row, answers.gold) for row in answers.outputs[name]]
        results.append(
            ArmResult(
                arm=name,
                training_examples=training[name].examples,
                dev_scores=training[name].dev_scores,
                scores=tuple(map(float, by_seed)),
                mean=float(by_seed.mean()),
                sd=float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
                interval=percentile_interval(resampled[:, place], confidence),
                metrics={
                    metric: float(np.mean([each[metric] for each in metrics]))
                    for metric in metrics[0]
                },
                comparison=comparison,
                tried=training[name].tried or {},
                way=training[name].way,
                recipes=training[name].recipes or {},
                recipe=training[name].recipe,
                start=training[name].start,
                **(_label_results(answers, name) if answers.task.is_classification else {}),
            )
        )
    return tuple(results)


def gain_over(
    baseline: Sequence[Sequence[Prediction]],
    rival: Sequence[Prediction],
    metric: str,
    *,
    seed: int,
    title: str,
) -> Interval:
    """Return the 95% interval of the mean score of a rival minus the baseline's, in points.

    It is resampled over the examples, the same for both, and over the baseline's students, as an
    arm's gain is over the test examples.

    Args:
        baseline: Answers of each of the baseline's students.
        rival: The rival's answers to the same examples in the same order.
        metric: A metric that is a mean over examples.
        seed: Seed of the resampling.
        title: The name of its progress.
    """

    def scores(answers: Sequence[Prediction]) -> npt.NDArray[np.float64]:
        outputs, golds = [one.output for one in answers], [one.gold for one in answers]
        return score_examples(metric, outputs, golds)

    both = np.array([[scores(each) for each in baseline], [scores(rival)] * len(baseline)])
    means = 100 * bootstrap_means(both, _GAIN_RESAMPLES, seed, title)
    return percentile_interval(means[:, 1] - means[:, 0], _GAIN_CONFIDENCE)


def _p_values(answers: Answers, names: Sequence[str]) -> dict[str, float]:
    """Return McNemar's p value of every arm against ``real``; nothing for text outputs."""
    if not answers.task.is_classification:
        return {}
    right = {name: _is_right(answers, name) for name in names}
    return {name: mcnemar_mid_p(right[REAL_ARM], right[name]) for name in names if name != REAL_ARM}


def _is_right(answers: Answers, name: str) -> npt.NDArray[np.bool_]:
    """Return whether the majority of an arm's students answers rightly, shape [examples]."""
    if answers.task.is_multilabel:
        votes = majority_of_labels(answers.matrices(name), answers.probs(name))
        return np.asarray((votes == answers.gold_matrix).all(axis=1))
    voted = majority_vote(answers.votes(name), answers.probs(name))
    return np.asarray(voted == answers.gold_indices, dtype=np.bool_)


def _set_results(answers: Answers, name: str) -> dict[str, Any]:
    """Return what is known of the decisions about single labels; sets have no confusion matrix."""
    probs = answers.probs(name)
    by_seed = [label_decisions(of_seed, answers.gold_matrix) for of_seed in probs]
    decided, right = (np.concatenate(parts) for parts in zip(*by_seed, strict=True))
    return {
        "expected_calibration_error": float(
            np.mean([expected_calibration_error(*decisions) for decisions in by_seed])
        ),
        "reliability": reliability_bins(decided, right),
        "per_class": _class_scores(answers, name),
    }


def _label_results(answers: Answers, name: str) -> dict[str, Any]:
    if answers.task.is_multilabel:
        return _set_results(answers, name)
    from sklearn.metrics import confusion_matrix

    probs, gold, labels = answers.probs(name), answers.gold_indices, answers.task.label_names
    counts = sum(
        confusion_matrix(answers.gold, row, labels=labels) for row in answers.outputs[name]
    )
    return {
        "expected_calibration_error": float(
            np.mean([expected_calibration_error(of_seed, gold) for of_seed in probs])
        ),
        "reliability": reliability_bins(
            probs.reshape(-1, probs.shape[2]), np.tile(gold, len(probs))
        ),
        "per_class": _class_scores(answers, name),
        "confusion": tuple(tuple(map(int, row)) for row in counts),
    }


def _class_scores(answers: Answers, name: str) -> dict[str, ClassScores]:
    from sklearn.metrics import precision_recall_fscore_support

    labels = answers.task.label_names
    by_seed = [
        precision_recall_fscore_support(answers.gold_matrix, of_seed, zero_division=0.0)
        for of_seed in answers.matrices(name)
    ]
    precision, recall, f1, support = np.mean(by_seed, axis=0)
    return {
        label: ClassScores(
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            support=int(support[i]),
        )
        for i, label in enumerate(labels)
    }


def headline(arms: tuple[ArmResult, ...], chosen: ArmResult, metric: str, confidence: float) -> str:
    """Say in one sentence what the arm chosen on dev reaches, between real examples and all labels.

    Args:
        arms: All arms.
        chosen: The arm that dev chose.
        metric: The primary metric.
        confidence: Coverage of the intervals.
    """
    real = next(arm for arm in arms if arm.arm == REAL_ARM)
    gold = next((arm for arm in arms if arm.arm == GOLD_ARM), None)
    noun = "labels" if METRICS[metric].kind == "classification" else "examples"
    alone = f"the {_total(real)} {noun} alone"
    below_gold = ""
    if gold is not None:
        distance = 100 * (chosen.mean - gold.mean)
        below_gold = f"{_apart(distance)} all {_total(gold)} true {noun}"
    comparison = chosen.comparison
    if comparison is None:
        rest = f", {below_gold}" if gold else ""
        if all(arm.arm in (REAL_ARM, GOLD_ARM) for arm in arms):
            return (
                f"{_capital(alone)} reach {_score(chosen.mean, metric)}{rest}; there is no arm "
                "with synthetic examples to compare them with."
            )
        return (
            f"No gain was shown: {alone}, which were best on dev, reach "
            f"{_score(chosen.mean, metric)}{rest}."
        )
    if real.tried:
        alone = f"the best that {alone} give"
    low, high = comparison.interval.low, comparison.interval.high
    interval = f"{100 * confidence:g}% interval {low:z.1f} to {high:z.1f}"
    verdict = "A loss was shown: " if high < 0 else ""
    if not comparison.significant:
        verdict, interval = "No gain was shown: ", f"{interval}, which includes zero"
    return (
        f"{verdict}{_learned(chosen, noun)} reach {_score(chosen.mean, metric)}, "
        f"{_apart(comparison.gain)} {alone} ({interval}){f' and {below_gold}' if gold else ''}."
    )


def _learned(arm: ArmResult, noun: str) -> str:
    """Say what an arm learned from: ``64 labels and 900 annotated by the teacher``."""
    counts = arm.training_examples
    made = [
        f"{counts[source]:,} {verb}"
        for source, verb in (("annotated", "annotated"), ("generated", "written"))
        if counts.get(source)
    ]
    labels = f"{counts.get('real', 0):,} {noun}"
    if not made:
        return labels
    return f"{labels}{' and ' if len(made) == 1 else ', '}{' and '.join(made)} by the teacher"


def _total(arm: ArmResult) -> str:
    return f"{sum(arm.training_examples.values()):,}"


def _apart(points: float) -> str:
    distance = f"{abs(points):.1f}"
    if distance == "0.0":
        return "level with"
    return f"{distance} points {'above' if points > 0 else 'below'}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _score(mean: float, metric: str) -> str:
    title = METRICS[metric].title
    return f"{mean:.1%} {title}" if metric == "accuracy" else f"{100 * mean:.1f} {title}"
