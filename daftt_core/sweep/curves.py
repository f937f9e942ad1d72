"""Score against ratio: where more synthetic examples stop helping, as far as dev can tell.

The rule: on dev, the saturation point of a curve is the smallest ratio that is not shown to be
worse than the ratio with the best score, that is, the paired interval of their difference includes
zero. Real examples alone take part as the smallest ratio: where they are not shown to be worse
either, no gain is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from daftt_core.errors import DafttError
from daftt_core.evaluation import (
    GOLD_ARM,
    REAL_ARM,
    ArmResult,
    Evaluation,
    Interval,
    score_examples,
)
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.records import Prediction, seed_for
from daftt_core.reporting import text as formats
from daftt_core.stages import STUDENTS, Stage
from daftt_core.sweep.plan import Cell
from daftt_core.telemetry import log
from daftt_core.workspace import Run, read_file

_Scores = npt.NDArray[np.float64]


class Part(BaseModel):
    """A part of a sweep's table."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Point(Part):
    """An arm at one ratio; real examples alone have none.

    Attributes:
        cell: The cell.
        ratio: Synthetic examples of each source for every labelled one, at most; 0: no limit;
            None: real examples alone.
        synthetic: Synthetic examples it learned from.
        dev: Mean score on dev.
        dev_interval: Interval of that mean; resampled over dev examples and seeds.
        test: Mean score on test, which decides nothing.
        test_interval: Interval of that mean.
        behind: Points of dev score that it is behind the best of its curve.
        behind_interval: Paired interval of that difference; None if answers cannot be paired.
    """

    cell: str
    ratio: float | None
    synthetic: int
    dev: float
    dev_interval: Interval | None
    test: float
    test_interval: Interval
    behind: float
    behind_interval: Interval | None


class Curve(Part):
    """One arm at every ratio that has a result, all else being equal.

    Attributes:
        fraction: Share of the training pool that is labelled.
        mixture_tasks: Other tasks that the teacher learned.
        mode: What the teacher wrote.
        arm: The arm.
        metric: The metric of all scores, which are in [0, 1].
        confidence: Coverage of the intervals.
        real: Real examples alone.
        points: The ratios, the smallest first and no limit last.
    """

    fraction: float
    mixture_tasks: int
    mode: str
    arm: str
    metric: str
    confidence: float
    real: Point
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The point with the best score on dev; of equals the one with fewest examples."""
        return max((self.real, *self.points), key=lambda point: point.dev)

    @property
    def saturation(self) -> Point | None:
        """The first point that is not shown to be worse than the best; None if that is unknown."""
        for point in (self.real, *self.points):
            if point.behind_interval is None:
                return None
            if point.behind_interval.low <= 0:
                return point
        return None

    @property
    def name(self) -> str:
        """Fraction, mode, mixture and arm, in words."""
        mixture = f", mixture {self.mixture_tasks}" if self.mixture_tasks else ""
        return f"Fraction {self.fraction:g}, mode {self.mode}{mixture}, {self.arm}"

    @property
    def sentence(self) -> str:
        """Where it saturates, and the evidence for it."""
        saturation, best = self.saturation, self.best
        tried = ", ".join(ratio_name(point.ratio) for point in self.points)
        if saturation is None:
            return f"{self.name}: without the answers to dev, saturation cannot be told."
        if saturation.ratio is None:
            behind = "" if best.ratio is None else f" ({self._behind(saturation, best)})"
            return (
                f"{self.name}: no gain is shown on dev at any ratio ({tried}) over real examples "
                f"only{behind}."
            )
        if len(self.points) == 1:
            return f"{self.name}: one ratio ({tried}) tells of no saturation; on dev it is a gain."
        if saturation is self.points[-1]:
            return (
                f"{self.name}: no saturation among the ratios tried ({tried}); on dev the largest "
                "is shown to be better than each of the others."
            )
        behind = "the best one" if saturation is best else self._behind(saturation, best)
        return (
            f"{self.name}: saturates at ratio {ratio_name(saturation.ratio)} of those tried "
            f"({tried}): {formats.percent(saturation.dev)} on dev, {behind}."
        )

    def _behind(self, point: Point, best: Point) -> str:
        if point.behind_interval is None:
            return ""
        low, high = (
            formats.gain(end) for end in (point.behind_interval.low, point.behind_interval.high)
        )
        return (
            f"{point.behind:.1f} points behind ratio {ratio_name(best.ratio)}, the best, paired "
            f"{formats.coverage(self.confidence)} interval {low} to {high}"
        )


def ratio_name(ratio: float | None) -> str:
    """Return a ratio as people read it."""
    if ratio is None:
        return "none"
    return f"{ratio:g}" if ratio else "no limit"


def find_curves(cells: Sequence[Cell], results: Mapping[str, Evaluation]) -> Iterator[Curve]:
    """Yield the curves of a sweep in the order of its cells, from the evaluations by cell."""
    groups: dict[tuple[float, int, str], list[Cell]] = {}
    for cell in cells:
        if cell.name in results:
            groups.setdefault((cell.fraction, cell.mixture_tasks, cell.mode), []).append(cell)
    for group in groups.values():
        group.sort(key=lambda cell: cell.ratio or math.inf)
        arms = dict.fromkeys(arm.arm for cell in group for arm in results[cell.name].arms)
        for arm in arms:
            if arm not in (REAL_ARM, GOLD_ARM):
                yield _curve(group, arm, results)


def _curve(group: Sequence[Cell], name: str, results: Mapping[str, Evaluation]) -> Curve:
    """Return the curve of one arm in cells that differ in the ratio alone."""
    arms = [(cell, arm) for cell in group for arm in results[cell.name].arms if arm.arm == name]
    first, evaluation = arms[0][0], results[arms[0][0].name]
    places: list[tuple[Cell, ArmResult, float | None]] = [(first, evaluation.arm(REAL_ARM), None)]
    places += [(cell, arm, cell.ratio) for cell, arm in arms]
    resampled = resample_scores(
        [read_dev_answers(cell.run, STUDENTS.part(arm.arm)) for cell, arm, _ in places],
        evaluation.metric,
        samples=first.config.evaluation.bootstrap_samples,
        seed=seed_for(first.run.seed, "saturation"),
    )
    best = max(range(len(places)), key=lambda place: places[place][1].dev_mean)
    confidence = evaluation.confidence
    points = [
        Point(
            cell=cell.name,
            ratio=ratio,
            synthetic=sum(arm.training_examples.get(of, 0) for of in ("annotated", "generated")),
            dev=arm.dev_mean,
            dev_interval=_interval(resampled, place, confidence),
            test=arm.mean,
            test_interval=arm.interval,
            behind=100 * (places[best][1].dev_mean - arm.dev_mean),
            behind_interval=_interval(resampled, place, confidence, best),
        )
        for place, (cell, arm, ratio) in enumerate(places)
    ]
    return Curve(
        fraction=first.fraction,
        mixture_tasks=first.mixture_tasks,
        mode=first.mode,
        arm=name,
        metric=evaluation.metric,
        confidence=confidence,
        real=points[0],
        points=tuple(points[1:]),
    )


def _interval(
    resampled: _Scores | None,
    place: int,
    confidence: float,
    best: int | None = None,
) -> Interval | None:
    """Return the interval of a mean, or with ``best`` of its distance from the best in points."""
    if resampled is None:
        return None
    if best is None:
        return percentile_interval(resampled[:, place], confidence)
    return percentile_interval(100 * (resampled[:, best] - resampled[:, place]), confidence)


def read_dev_answers(run: Run, stage: Stage[Any]) -> list[Prediction]:
    """Return the answers to dev that a stage has kept; none if they cannot be read."""
    try:
        text = read_file(run.uri, stage, "dev-predictions.jsonl")
        return [Prediction.model_validate_json(line) for line in (text or b"").splitlines()]
    except (DafttError, ValidationError) as error:  # an interval less, and not the whole table
        log.warning("%s", error)
        return []


def resample_scores(
    answers: Sequence[Sequence[Prediction]], metric: str, *, samples: int, seed: int
) -> _Scores | None:
    """Return mean dev scores of models in resamples of dev examples and seeds.

    Args:
        answers: The answers of each model.
        metric: The metric of the scores.
        samples: Number of resamples.
        seed: Decides the resamples.

    Returns:
        Shape [samples, models]; None if the models have not answered the same examples.
    """
    tables = [_scores(model_answers, metric) for model_answers in answers]
    if not tables[0] or any(set(table) != set(tables[0]) for table in tables):
        return None
    seeds = sorted({seed for seed, _ in tables[0]})
    ids = sorted({id_ for _, id_ in tables[0]})
    if len(tables[0]) != len(seeds) * len(ids):
        return None
    scores = np.asarray([[[table[seed, id_] for id_ in ids] for seed in seeds] for table in tables])
    return bootstrap_means(scores, samples, seed, "compare on dev")


def _scores(answers: Sequence[Prediction], metric: str) -> dict[tuple[int, str], float]:
    """Return the score of each answer, by seed and example."""
    if not answers:
        return {}
    outputs, golds = [a.output for a in answers], [a.gold for a in answers]
    scores = map(float, score_examples(metric, outputs, golds))
    return {(a.seed, a.id): score for a, score in zip(answers, scores, strict=True)}
