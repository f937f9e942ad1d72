"""Deciding whether a student is better than the champion, from their saved answers alone.

With a champion, the two models that would serve are compared with each other: one student each, on
the same test examples, the paired bootstrap over these. Without one, there is nothing to take the
place of; the student's arm must then be better than ``real``, as the evaluation found it: paired
over examples and seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from daftt_core.config import EvaluationConfig, PromotionConfig
from daftt_core.errors import DataError
from daftt_core.evaluation import REAL_ARM, Evaluation, Interval, score_all, score_examples
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.records import Prediction, Traits, seed_for
from daftt_core.registry.models import Decision, FloorCheck, SliceCheck
from daftt_core.registry.slices import judge_slices
from daftt_core.tasks import METRICS, Task


@dataclass(frozen=True)
class Challenger:
    """The student that asks for the champion's place.

    Attributes:
        version: Its version.
        arm: Its arm.
        seed: Its place among the arm's students.
        dev_score: Its score on dev.
        predictions: Its answers to the test examples.
        refusals: What speaks against it already, each a part of a sentence.
    """

    version: str
    arm: str
    seed: int
    dev_score: float
    predictions: Sequence[Prediction]
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Champion:
    """The one that has it.

    Attributes:
        version: Its version.
        predictions: Its answers to the same test examples.
        traits: What is known of the test examples beside their outputs.
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
    """Decide.

    Args:
        task: The task.
        challenger: Who asks.
        champion: Who is asked, or None.
        evaluation: The run's.
        promotion: The rule.
        config: Resamples and coverage of the interval.
        seed: The run's.
        evaluation_digest: Tells this evaluation from others.

    Raises:
        DataError: The two were not asked the same test examples.
    """
    answers = sorted(challenger.predictions, key=lambda one: one.id)
    golds, outputs = [one.gold for one in answers], [one.output for one in answers]
    scores = score_all(task, outputs, golds)
    floors = tuple(
        FloorCheck(metric=name, score=scores[name], floor=floor)
        for name, floor in promotion.floor_values().items()
    )
    if champion is None:
        compared = _with_real(evaluation, challenger, promotion)
    else:
        drawn = seed_for(seed, "promotion")
        metric = evaluation.metric
        compared = _with_champion(task, answers, champion, metric, promotion, config, drawn)
    refusals = [
        *challenger.refusals,
        *compared.refusals,
        *map(_under_floor, (check for check in floors if not check.passed)),
        *map(_fallen, (check for check in compared.slices if not check.passed)),
    ]
    score = scores[evaluation.metric]
    return Decision(
        promoted=not refusals,
        reason=_sentence(
            challenger, champion, evaluation.metric, score, len(answers), refusals, compared
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
        champion_score=compared.champion_score,
        gain=compared.gain,
        interval=compared.interval,
        left_out=compared.left_out,
        floors=floors,
        slices=compared.slices,
    )


@dataclass(frozen=True)
class _Compared:
    said: str
    refusals: tuple[str, ...]
    gain: float | None = None
    interval: Interval | None = None
    champion_score: float | None = None
    left_out: int = 0
    slices: tuple[SliceCheck, ...] = ()


def _with_real(
    evaluation: Evaluation, challenger: Challenger, promotion: PromotionConfig
) -> _Compared:
    """Where nothing holds the place: the arm against ``real``, which must be beaten in any case."""
    found = evaluation.arm(challenger.arm).comparison
    if found is None:
        return _Compared("", (f"there is no champion yet, and no arm is better than {REAL_ARM}",))
    needed = promotion.margin if promotion.rule == "superiority" else 0.0
    said = f"its arm is {_gain(found.gain, found.interval, evaluation.confidence)} over {REAL_ARM}"
    short = f"there is no champion yet, and {said}, {_not_above(needed)}"
    refusals = () if found.interval.low > needed else (short,)
    return _Compared(said, refusals, found.gain, found.interval)


def _with_champion(
    task: Task,
    answers: Sequence[Prediction],
    champion: Champion,
    metric: str,
    promotion: PromotionConfig,
    config: EvaluationConfig,
    seed: int,
) -> _Compared:
    compared = _comparable(answers, champion)
    left_out = len(answers) - len(compared)
    if not compared:
        learned = (
            f"champion {champion.version} has learned from all {left_out} test examples, so that "
            "the two cannot be compared"
        )
        return _Compared("", (learned,), left_out=left_out)
    golds = [gold for gold, _, _ in compared.values()]
    scores = np.stack(
        [
            score_examples(metric, [theirs for _, theirs, _ in compared.values()], golds),
            score_examples(metric, [ours for _, _, ours in compared.values()], golds),
        ]
    )
    resampled = bootstrap_means(scores[:, None, :], config.bootstrap_samples, seed)
    interval = percentile_interval(100 * (resampled[:, 1] - resampled[:, 0]), config.confidence)
    before, after = (float(mean) for mean in scores.mean(axis=1))
    gain = 100 * (after - before)
    needed = promotion.margin if promotion.rule == "superiority" else -promotion.margin
    said = f"{_gain(gain, interval, config.confidence)} over champion {champion.version}"
    if left_out:
        said += f", {left_out} test examples left out that the champion has learned from"
    short = () if interval.low > needed else (f"{said}, {_not_above(needed)}",)
    about = (task, list(compared), golds, scores, champion.traits)
    slices = tuple(judge_slices(*about, promotion, config, seed=seed))
    return _Compared(said, short, gain, interval, before, left_out, slices)


def _comparable(
    answers: Sequence[Prediction], champion: Champion
) -> dict[str, tuple[str, str, str]]:
    """True output, the champion's and the challenger's, by id; without what the first learned."""
    theirs = {one.id: one for one in champion.predictions}
    if {id_: one.gold for id_, one in theirs.items()} != {one.id: one.gold for one in answers}:
        raise DataError("the champion and its challenger were not asked the same test examples")
    return {
        one.id: (one.gold, theirs[one.id].output, one.output)
        for one in answers
        if one.id not in champion.learned
    }


def _sentence(
    challenger: Challenger,
    champion: Champion | None,
    metric: str,
    score: float,
    examples: int,
    refusals: Sequence[str],
    compared: _Compared,
) -> str:
    who = f"{challenger.arm}, seed {challenger.seed} ({challenger.version})"
    reaches = f"{100 * score:.1f} {METRICS[metric].title} on {examples:,} test examples"
    if refusals:
        return f"Not promoted: {who}, {reaches}: {'; '.join(refusals)}."
    place = "takes the champion's place" if champion else "is the first champion"
    return f"Promoted: {who} {place}: {reaches}, {compared.said}."


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
