"""Decide whether a student is better than the champion, from their saved answers alone.

With a champion, the two models that would serve are compared with each other: one student each, on
the same test examples, with the paired bootstrap over these. Without one, the student's arm must be
better than ``real``, as the evaluation found it: paired over examples and seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daftt_core.config import EvaluationConfig, PromotionConfig
from daftt_core.errors import DataError
from daftt_core.evaluation import REAL_ARM, Evaluation, Interval, score_all, score_examples
from daftt_core.evaluation.slices import slices_of
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval, sign_flip_p
from daftt_core.records import Prediction, Traits, seed_for
from daftt_core.registry.models import Decision, FloorCheck, SliceCheck
from daftt_core.tasks import METRICS, Task


@dataclass(frozen=True)
class Challenger:
    """The student that may become the champion.

    Attributes:
        version: Its version.
        arm: Its arm.
        seed: Its index among the arm's students.
        dev_score: Its score on dev.
        predictions: Its answers to the test examples.
        refusals: Reasons against it that are known already, each a part of a sentence.
    """

    version: str
    arm: str
    seed: int
    dev_score: float
    predictions: Sequence[Prediction]
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Champion:
    """The model that serves now.

    Attributes:
        version: Its version.
        predictions: Its answers to the same test examples.
        traits: Traits of the test examples beside their outputs.
        learned: Ids of the examples that it was trained or chosen on.
    """

    version: str
    predictions: Sequence[Prediction]
    traits: Traits | None
    learned: Collection[str]


def decide(
    task: Task,
    challenger: Challenger,
    champion: Champion | None,
    evaluation: Evaluation,
    promotion: PromotionConfig,
    config: EvaluationConfig,
    *,
    seed: int,
    evaluation_digest: str,
) -> Decision:
    """Decide by the rule ``promotion`` whether the challenger becomes the champion.

    Raises:
        DataError: The two have not answered the same test examples.
    """
    answers = sorted(challenger.predictions, key=lambda answer: answer.id)
    golds, outputs = [a.gold for a in answers], [a.output for a in answers]
    scores = score_all(task, outputs, golds)
    floors = tuple(
        FloorCheck(metric=name, score=scores[name], floor=floor)
        for name, floor in promotion.floor_values().items()
    )
    if champion is None:
        comparison = _with_real(evaluation, challenger, promotion)
    else:
        draws = seed_for(seed, "promotion")
        metric = evaluation.metric
        comparison = _with_champion(task, answers, champion, metric, promotion, config, draws)
    refusals = [
        *challenger.refusals,
        *comparison.refusals,
        *map(_under_floor, (check for check in floors if not check.passed)),
        *map(_fallen, (check for check in comparison.slices if not check.passed)),
    ]
    score = scores[evaluation.metric]
    return Decision(
        promoted=not refusals,
        reason=_sentence(
            challenger, champion, evaluation.metric, score, len(answers), refusals, comparison
        ),
        evaluation=evaluation_digest,
        rule=promotion.rule,
        metric=evaluation.metric,
        margin=promotion.margin,
        confidence=config.confidence,
        version=challenger.version,
        arm=challenger.arm,
        seed=challenger.seed,
        dev_score=challenger.dev_score,
        score=score,
        scores=scores,
        test_examples=len(answers),
        champion=champion.version if champion else None,
        champion_score=comparison.champion_score,
        gain=comparison.gain,
        interval=comparison.interval,
        left_out=comparison.left_out,
        floors=floors,
        slices=comparison.slices,
    )


@dataclass(frozen=True)
class _Comparison:
    summary: str
    refusals: tuple[str, ...]
    gain: float | None = None
    interval: Interval | None = None
    champion_score: float | None = None
    left_out: int = 0
    slices: tuple[SliceCheck, ...] = ()


def _with_real(
    evaluation: Evaluation, challenger: Challenger, promotion: PromotionConfig
) -> _Comparison:
    """Compare the arm with ``real``, which a first champion must beat under any rule."""
    arm = evaluation.arm(challenger.arm).comparison
    if arm is None:
        return _Comparison("", (f"there is no champion yet, and no arm is better than {REAL_ARM}",))
    needed = promotion.margin if promotion.rule == "superiority" else 0.0
    summary = f"its arm is {_gain(arm.gain, arm.interval, evaluation.confidence)} over {REAL_ARM}"
    refusal = f"there is no champion yet, and {summary}, {_not_above(needed)}"
    refusals = () if arm.interval.low > needed else (refusal,)
    return _Comparison(summary, refusals, arm.gain, arm.interval)


def _with_champion(
    task: Task,
    answers: Sequence[Prediction],
    champion: Champion,
    metric: str,
    promotion: PromotionConfig,
    config: EvaluationConfig,
    seed: int,
) -> _Comparison:
    outputs = _comparable(answers, champion)
    left_out = len(answers) - len(outputs)
    if not outputs:
        refusal = (
            f"champion {champion.version} has learned from all {left_out} test examples, so that "
            "the two cannot be compared"
        )
        return _Comparison("", (refusal,), left_out=left_out)
    golds, theirs, ours = (list(column) for column in zip(*outputs.values(), strict=True))
    scores = np.stack([score_examples(metric, theirs, golds), score_examples(metric, ours, golds)])
    resampled = bootstrap_means(scores[:, None, :], config.bootstrap_samples, seed)
    interval = percentile_interval(100 * (resampled[:, 1] - resampled[:, 0]), config.confidence)
    before, after = (float(mean) for mean in scores.mean(axis=1))
    gain = 100 * (after - before)
    needed = promotion.margin if promotion.rule == "superiority" else -promotion.margin
    summary = f"{_gain(gain, interval, config.confidence)} over champion {champion.version}"
    if left_out:
        summary += f", {left_out} test examples left out that the champion has learned from"
    refusals = () if interval.low > needed else (f"{summary}, {_not_above(needed)}",)
    ids, traits = list(outputs), champion.traits
    slices = judge_slices(task, ids, golds, scores, traits, promotion, config, seed=seed)
    return _Comparison(summary, refusals, gain, interval, before, left_out, tuple(slices))


def _comparable(
    answers: Sequence[Prediction], champion: Champion
) -> dict[str, tuple[str, str, str]]:
    """Return true output, champion's and challenger's, by id; without what the champion learned."""
    theirs = {answer.id: answer for answer in champion.predictions}
    if {a.id: a.gold for a in champion.predictions} != {a.id: a.gold for a in answers}:
        raise DataError("the champion and its challenger have not answered the same test examples")
    return {
        answer.id: (answer.gold, theirs[answer.id].output, answer.output)
        for answer in answers
        if answer.id not in champion.learned
    }


def judge_slices(
    task: Task,
    ids: Sequence[str],
    golds: Sequence[str],
    scores: npt.NDArray[np.float64],
    traits: Traits | None,
    promotion: PromotionConfig,
    evaluation: EvaluationConfig,
    *,
    seed: int,
) -> Iterator[SliceCheck]:
    """Compare both models on the evaluation's slices: class, length, the user's column.

    A slice has fallen if the challenger is more than ``promotion.slice_drop`` points below the
    champion, and chance alone would cause such a fall in at most half of 1 - confidence of cases:
    a sign-flip test over the slice's examples, with Bonferroni's correction for the number of
    judged slices. So a challenger that is as good on every slice is refused in no more cases than
    that, however many and small the slices are, which a bootstrap's interval does not guarantee.

    Args:
        task: The task.
        ids: The test examples.
        golds: Their true outputs.
        scores: Shape [2, examples]: the champion's and the challenger's.
        traits: Further traits of the test examples; without them there are slices by class alone.
        promotion: How far a slice may fall, and how small it may be.
        evaluation: Resamples, and the confidence.
        seed: Seed of the resamples.
    """
    prefixes = {"class": "class ", "length": "", "column": f"{traits.column} " if traits else ""}
    slices = list(slices_of(task, ids, golds, traits))
    count = sum(len(members) >= promotion.slice_min_examples for _, _, members in slices)
    for by, name, members in slices:
        before, after = scores[:, members].mean(axis=1)
        fallen, p = False, None
        if len(members) >= promotion.slice_min_examples:
            differences = scores[1, members] - scores[0, members]
            p = min(1.0, count * sign_flip_p(differences, evaluation.bootstrap_samples, seed))
            is_far = round(100 * float(before - after), 6) > promotion.slice_drop
            fallen = is_far and p <= (1 - evaluation.confidence) / 2
        yield SliceCheck(
            name=f"{prefixes[by]}{name}",
            examples=len(members),
            champion=float(before),
            challenger=float(after),
            judged=p is not None,
            passed=not fallen,
            p=p,
        )


def _sentence(
    challenger: Challenger,
    champion: Champion | None,
    metric: str,
    score: float,
    examples: int,
    refusals: Sequence[str],
    comparison: _Comparison,
) -> str:
    student = f"{challenger.arm}, seed {challenger.seed} ({challenger.version})"
    result = f"{100 * score:.1f} {METRICS[metric].title} on {examples:,} test examples"
    if refusals:
        return f"Not promoted: {student}, {result}: {'; '.join(refusals)}."
    place = "takes the champion's place" if champion else "is the first champion"
    return f"Promoted: {student} {place}: {result}, {comparison.summary}."


def _under_floor(check: FloorCheck) -> str:
    return f"{METRICS[check.metric].title} {check.score:.3f} is below its floor {check.floor:g}"


def _fallen(check: SliceCheck) -> str:
    return (
        f"{check.name} falls by {100 * (check.champion - check.challenger):.1f} points, from "
        f"{100 * check.champion:.1f} to {100 * check.challenger:.1f} on {check.examples} examples "
        f"(p {check.p:.2g})"
    )


def _gain(gain: float, interval: Interval, confidence: float) -> str:
    return (
        f"{gain:+.1f} points ({100 * confidence:g}% interval {interval.low:+.1f} to "
        f"{interval.high:+.1f})"
    )


def _not_above(points: float) -> str:
    return f"which is not shown to be above {f'{points:+g}' if points else '0'}"
