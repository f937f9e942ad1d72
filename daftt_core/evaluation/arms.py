"""From answers to results: each arm's scores, and its comparison with ``real``.

The result of an evaluation in one sentence that says no more than was shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daftt_core.evaluation.answers import Answers
from daftt_core.evaluation.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    reliability_bins,
)
from daftt_core.evaluation.models import (
    GOLD_ARM,
    REAL_ARM,
    ArmResult,
    ClassScores,
    Comparison,
    Interval,
)
from daftt_core.evaluation.scoring import metric_for_task, score_all, score_examples
from daftt_core.evaluation.statistics import (
    bootstrap_means,
    gap_closed,
    holm,
    majority_vote,
    mcnemar_mid_p,
    percentile_interval,
)
from daftt_core.tasks import METRICS

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """What is known of an arm before it is tested.

    Attributes:
        examples: Examples it was trained on, by source.
        dev_scores: Score of each seed on dev, by ascending seed.
    """

    examples: dict[str, int]
    dev_scores: tuple[float, ...]


def score_answers(answers: Answers, arms: Sequence[str]) -> Floats:
    """The score of each answer by the primary metric, shape [arms, seeds, examples]."""
    metric = metric_for_task(answers.task)
    return np.stack(
        [
            [score_examples(metric, row, answers.gold) for row in answers.outputs[arm]]
            for arm in arms
        ]
    )


def compare_arms(
    answers: Answers,
    scores: Floats,
    training: Mapping[str, Training],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> tuple[ArmResult, ...]:
    """The result of every arm.

    Args:
        answers: What the students answered.
        scores: What :func:`score_answers` made of it, in the order of ``training``.
        training: What they were trained on, by arm; its order is that of the results.
        resamples: Bootstrap resamples behind each interval.
        confidence: Coverage of the intervals.
        seed: Of the resampling.
    """
    names = list(training)
    resampled = bootstrap_means(scores, resamples, seed)
    means = dict(zip(names, scores.mean(axis=(1, 2)), strict=True))
    p_values = _p_values(answers, names)
    corrected = _corrected(p_values)
    results = []
    for place, name in enumerate(names):
        gains = 100 * (resampled[:, place] - resampled[:, names.index(REAL_ARM)])
        interval = percentile_interval(gains, confidence)
        comparison = Comparison(
            gain=float(100 * (means[name] - means[REAL_ARM])),
            interval=interval,
            mcnemar_p=p_values.get(name),
            mcnemar_p_holm=corrected.get(name),
            significant=interval.excludes_zero,
            gap_closed=_gap_closed(name, means),
        )
        results.append(
            _result(
                answers,
                name,
                training[name],
                scores[place],
                percentile_interval(resampled[:, place], confidence),
                None if name == REAL_ARM else comparison,
            )
        )
    return tuple(results)


def _p_values(answers: Answers, names: Sequence[str]) -> dict[str, float]:
    """McNemar's test of every arm against ``real``; nothing for text outputs."""
    if not answers.task.is_classification:
        return {}
    right = {
        name: majority_vote(answers.votes(name), answers.probs(name)) == answers.gold_indices
        for name in names
    }
    return {name: mcnemar_mid_p(right[REAL_ARM], right[name]) for name in names if name != REAL_ARM}


def _corrected(p_values: Mapping[str, float]) -> dict[str, float]:
    claims = [name for name in p_values if name != GOLD_ARM]
    return dict(zip(claims, holm([p_values[name] for name in claims]), strict=True))


def _gap_closed(name: str, means: Mapping[str, float]) -> float | None:
    if name == GOLD_ARM or GOLD_ARM not in means:
        return None
    return gap_closed(float(means[name]), float(means[REAL_ARM]), float(means[GOLD_ARM]))


def _result(
    answers: Answers,
    name: str,
    training: Training,
    scores: Floats,
    interval: Interval,
    comparison: Comparison | None,
) -> ArmResult:
    by_seed = scores.mean(axis=1)
    return ArmResult(
        arm=name,
        training_examples=training.examples,
        dev_scores=training.dev_scores,
        scores=tuple(map(float, by_seed)),
        mean=float(by_seed.mean()),
        sd=float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
        interval=interval,
        metrics=_mean_scores(answers, name),
        comparison=comparison,
        **(_label_results(answers, name) if answers.task.is_classification else {}),
    )


def _mean_scores(answers: Answers, name: str) -> dict[str, float]:
    by_seed = [score_all(answers.task, row, answers.gold) for row in answers.outputs[name]]
    return {metric: float(np.mean([one[metric] for one in by_seed])) for metric in by_seed[0]}


def _label_results(answers: Answers, name: str) -> dict[str, object]:
    return {
        "expected_calibration_error": float(
            np.mean(
                [
                    expected_calibration_error(probs, answers.gold_indices)
                    for probs in answers.probs(name)
                ]
            )
        ),
        "reliability": _reliability(answers, name),
        "per_class": _class_scores(answers, name),
        "confusion": _confusion(answers, name),
    }


def _reliability(answers: Answers, name: str) -> list[ReliabilityBin]:
    probs = answers.probs(name)
    return reliability_bins(
        probs.reshape(-1, probs.shape[2]), np.tile(answers.gold_indices, len(probs))
    )


def _class_scores(answers: Answers, name: str) -> dict[str, ClassScores]:
    from sklearn.metrics import precision_recall_fscore_support

    labels = answers.task.label_names
    by_seed = [
        precision_recall_fscore_support(answers.gold, row, labels=labels, zero_division=0.0)
        for row in answers.outputs[name]
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


def _confusion(answers: Answers, name: str) -> tuple[tuple[int, ...], ...]:
    from sklearn.metrics import confusion_matrix

    labels = answers.task.label_names
    counts = sum(
        confusion_matrix(answers.gold, row, labels=labels) for row in answers.outputs[name]
    )
    return tuple(tuple(map(int, row)) for row in counts)


def headline(arms: tuple[ArmResult, ...], chosen: ArmResult, metric: str, confidence: float) -> str:
    """Say what the arm that was chosen on dev reaches, and whether that is a gain.

    Args:
        arms: All arms.
        chosen: The arm to speak of.
        metric: The primary metric.
        confidence: Coverage of the intervals.
    """
    reaches = f"reaches {_score(chosen.mean, metric)}"
    if chosen.comparison is None:
        if all(arm.arm in (REAL_ARM, GOLD_ARM) for arm in arms):
            return (
                f"real only {reaches}; there is no arm with synthetic examples to compare it with."
            )
        return f"No gain was shown: real only, which scored best on dev, {reaches}."
    low, high = chosen.comparison.interval.low, chosen.comparison.interval.high
    gain = chosen.comparison.gain
    direction = "above" if gain >= 0 else "below"
    interval = f"{100 * confidence:g}% interval {low:.1f} to {high:.1f}"
    if low > 0:
        return f"{chosen.arm} {reaches}, {gain:.1f} points above real only ({interval})."
    told = f"{chosen.arm}, best on dev, {reaches}, {abs(gain):.1f} points {direction} real only"
    if high < 0:
        return f"A loss was shown: {told} ({interval})."
    return f"No gain was shown: {told}, and the {interval} includes zero."


def _score(mean: float, metric: str) -> str:
    title = METRICS[metric].title
    return f"{mean:.1%} {title}" if metric == "accuracy" else f"{100 * mean:.1f} {title}"
