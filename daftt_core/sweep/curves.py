"""Score against ratio: where more synthetic examples stop helping, as far as dev can tell.

The rule: on dev, the saturation point of a curve is the smallest ratio that is not shown to be
worse than the ratio with the best score, that is, the paired interval of their difference reaches
zero or beyond. Real examples alone take part as the smallest ratio of all: where they are not shown
to be worse either, no gain is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

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
from daftt_core.stages import STUDENTS
from daftt_core.sweep.plan import Cell
from daftt_core.telemetry import log
from daftt_core.workspace import read_file

_Scores = npt.NDArray[np.float64]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Point(_Part):
    """An arm at one ratio; real examples alone have none.

    Attributes:
        cell: The cell.
        ratio: Synthetic examples of each source for every labelled one, at most; 0: no limit;
            None: real examples alone.
        synthetic: Synthetic examples it learned from.
        dev: Mean score on dev.
        dev_interval: Of that mean; resampled over dev examples and seeds.
        test: Mean score on test, which decides nothing.
        test_interval: Of that mean.
        behind: How many points of dev score it is behind the best of its curve.
        behind_interval: Of that difference, paired; None where the answers cannot be paired.
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


class Curve(_Part):
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
        """The point with the best score on dev; of equals the one with least in it."""
        return max((self.real, *self.points), key=lambda point: point.dev)

    @property
    def saturation(self) -> Point | None:
        """The first point that is not shown to be worse than the best; None: cannot be told."""
        for point in (self.real, *self.points):
            if point.behind_interval is None:
                return None
            if point.behind_interval.low <= 0:
                return point
        return None

    @property
    def name(self) -> str:
        """What it is about, in words."""
        other = f", mixture {self.mixture_tasks}" if self.mixture_tasks else ""
        return f"Fraction {self.fraction:g}, mode {self.mode}{other}, {self.arm}"

    @property
    def sentence(self) -> str:
        """Where it saturates, and how that is known."""
        found, best = self.saturation, self.best
        tried = ", ".join(ratio_name(point.ratio) for point in self.points)
        if found is None:
            return f"{self.name}: without the answers to dev, saturation cannot be told."
        if found.ratio is None:
            shown = "" if best.ratio is None else f" ({self._behind(found, best)})"
            return (
                f"{self.name}: no gain is shown on dev at any ratio ({tried}) over real examples "
                f"only{shown}."
            )
        if len(self.points) == 1:
            return f"{self.name}: one ratio ({tried}) tells of no saturation; on dev it is a gain."
        if found is self.points[-1]:
            return (
                f"{self.name}: no saturation among the ratios tried ({tried}); on dev the largest "
                "is shown to be better than each of the others."
            )
        words = "the best one" if found is best else self._behind(found, best)
        return (
            f"{self.name}: saturates at ratio {ratio_name(found.ratio)} of those tried ({tried}): "
            f"{formats.percent(found.dev)} on dev, {words}."
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
    """A ratio as people read it."""
    if ratio is None:
        return "none"
    return f"{ratio:g}" if ratio else "no limit"


def find_curves(cells: Sequence[Cell], results: Mapping[str, Evaluation]) -> Iterator[Curve]:
    """The curves of a sweep, in the order of its cells.

    Args:
        cells: The sweep's cells.
        results: The evaluations of those that have one, by cell.
    """
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
    """One arm of cells that differ in the ratio alone."""
    found = [(cell, arm) for cell in group for arm in results[cell.name].arms if arm.arm == name]
    first, evaluation = found[0][0], results[found[0][0].name]
    places: list[tuple[Cell, ArmResult, float | None]] = [(first, evaluation.arm(REAL_ARM), None)]
    places += [(cell, arm, cell.ratio) for cell, arm in found]
    resampled = _resampled([(cell, arm.arm) for cell, arm, _ in places], evaluation.metric)
    best = max(range(len(places)), key=lambda place: places[place][1].dev_mean)
    sure = evaluation.confidence
    points = [
        Point(
            cell=cell.name,
            ratio=ratio,
            synthetic=sum(arm.training_examples.get(of, 0) for of in ("annotated", "generated")),
            dev=arm.dev_mean,
            dev_interval=_interval(resampled, place, sure),
            test=arm.mean,
            test_interval=arm.interval,
            behind=100 * (places[best][1].dev_mean - arm.dev_mean),
            behind_interval=_interval(resampled, place, sure, best),
        )
        for place, (cell, arm, ratio) in enumerate(places)
    ]
    return Curve(
        fraction=first.fraction,
        mixture_tasks=first.mixture_tasks,
        mode=first.mode,
        arm=name,
        metric=evaluation.metric,
        confidence=sure,
        real=points[0],
        points=tuple(points[1:]),
    )


def _interval(
    resampled: _Scores | None, place: int, confidence: float, best: int | None = None
) -> Interval | None:
    """Of a mean, or of how many points it is behind the best one."""
    if resampled is None:
        return None
    if best is None:
        return percentile_interval(resampled[:, place], confidence)
    return percentile_interval(100 * (resampled[:, best] - resampled[:, place]), confidence)


def _resampled(arms: Sequence[tuple[Cell, str]], metric: str) -> _Scores | None:
    """Mean dev scores in resamples of dev examples and seeds, shape [resamples, arms]."""
    tables = [_dev_scores(cell, arm, metric) for cell, arm in arms]
    if not tables[0] or any(set(table) != set(tables[0]) for table in tables):
        return None
    seeds = sorted({seed for seed, _ in tables[0]})
    ids = sorted({id_ for _, id_ in tables[0]})
    if len(tables[0]) != len(seeds) * len(ids):
        return None
    scores = np.asarray([[[table[seed, id_] for id_ in ids] for seed in seeds] for table in tables])
    settings, run = arms[0][0].config.evaluation, arms[0][0].run
    return bootstrap_means(
        scores, settings.bootstrap_samples, seed_for(run.seed, "saturation"), "compare ratios"
    )


def _dev_scores(cell: Cell, arm: str, metric: str) -> dict[tuple[int, str], float]:
    """The score of each answer to dev, by seed and example; empty where there are none."""
    try:
        text = read_file(cell.run.uri, STUDENTS.part(arm), "dev-predictions.jsonl")
        answers = [Prediction.model_validate_json(line) for line in (text or b"").splitlines()]
    except (DafttError, ValidationError) as error:  # an interval less, and not the whole table
        log.warning("%s", error)
        return {}
    if not answers:
        return {}
    scores = score_examples(metric, [one.output for one in answers], [one.gold for one in answers])
    keys = [(one.seed, one.id) for one in answers]
    return dict(zip(keys, map(float, scores), strict=True))
