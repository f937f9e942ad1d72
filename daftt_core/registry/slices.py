"""Parts of the test examples on which a new champion must not be much worse than the old one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from daftt_core.config import PromotionConfig
from daftt_core.evaluation.slices import slices_of
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
) -> Iterator[SliceCheck]:
    """Both models on the slices that the evaluation has too: class, length, the user's column.

    Args:
        task: The task.
        ids: The test examples.
        golds: Their true outputs.
        scores: Shape [2, examples]: the champion's and the challenger's.
        traits: What is known of the test examples; without it there are slices by class alone.
        promotion: How far a slice may fall, and how small it may be.
    """
    start = {"class": "class ", "length": "", "column": f"{traits.column} " if traits else ""}
    for by, name, members in slices_of(task, ids, golds, traits):
        before, after = scores[:, members].mean(axis=1)
        judged = len(members) >= promotion.slice_min_examples
        fallen = round(100 * float(before - after), 6) > promotion.slice_drop
        yield SliceCheck(
            name=f"{start[by]}{name}",
            examples=len(members),
            champion=float(before),
            challenger=float(after),
            judged=judged,
            passed=not (judged and fallen),
        )
