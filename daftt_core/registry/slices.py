"""Parts of the test examples on which a new champion must not be much worse than the old one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from daftt_core.config import EvaluationConfig, PromotionConfig
from daftt_core.evaluation.slices import slices_of
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.records import Traits
from daftt_core.registry.models import SliceCheck
from daftt_core.tasks import Task

__all__ = ["judge_slices"]


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
    """Both models on the slices that the evaluation has too: class, length, the user's column.

    A slice has fallen where the challenger is more than ``promotion.slice_drop`` points below the
    champion, and where the interval of their difference lies below 0: the paired bootstrap over
    the slice's examples, at Bonferroni's level for the number of slices that are judged. So a
    challenger that is as good on every slice is refused for one of them with a probability of at
    most half of 1 - confidence, however many there are.

    Args:
        task: The task.
        ids: The test examples.
        golds: Their true outputs.
        scores: Shape [2, examples]: the champion's and the challenger's.
        traits: What is known of the test examples; without it there are slices by class alone.
        promotion: How far a slice may fall, and how small it may be.
        evaluation: Resamples and coverage of the interval.
        seed: Of the resamples.
    """
    start = {"class": "class ", "length": "", "column": f"{traits.column} " if traits else ""}
    slices = list(slices_of(task, ids, golds, traits))
    count = sum(len(members) >= promotion.slice_min_examples for _, _, members in slices)
    for by, name, members in slices:
        before, after = scores[:, members].mean(axis=1)
        fallen, interval = False, None
        if len(members) >= promotion.slice_min_examples:
            means = bootstrap_means(
                scores[:, None, members], evaluation.bootstrap_samples, seed, "compare slices"
            )
            level = 1 - (1 - evaluation.confidence) / count
            interval = percentile_interval(100 * (means[:, 1] - means[:, 0]), level)
            fall = round(100 * float(before - after), 6)
            fallen = fall > promotion.slice_drop and interval.high < 0
        yield SliceCheck(
            name=f"{start[by]}{name}",
            examples=len(members),
            champion=float(before),
            challenger=float(after),
            judged=interval is not None,
            passed=not fallen,
            interval=interval,
        )
