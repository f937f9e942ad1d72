"""Parts of the test examples on which a new champion must not be much worse than the old one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from daftt_core.config import PromotionConfig
from daftt_core.registry.models import SliceCheck
from daftt_core.tasks import Task

__all__ = ["judge_slices"]

_THIRDS = (1 / 3, 2 / 3)


def judge_slices(
    task: Task,
    golds: Sequence[str],
    words: Sequence[int],
    scores: npt.NDArray[np.float64],
    promotion: PromotionConfig,
) -> Iterator[SliceCheck]:
    """Both models on each class and on each third by length.

    Args:
        task: The task.
        golds: True outputs.
        words: Lengths of the inputs, in words.
        scores: Shape [2, examples]: the champion's and the challenger's, in the same order.
        promotion: How far a slice may fall, and how small it may be.
    """
    for name, members in (*_classes(task, golds), *_lengths(words)):
        count = int(members.sum())
        if count == 0:
            continue
        before, after = scores[:, members].mean(axis=1)
        judged = count >= promotion.slice_min_examples
        fallen = round(100 * float(before - after), 6) > promotion.slice_drop
        yield SliceCheck(
            name=name,
            examples=count,
            champion=float(before),
            challenger=float(after),
            judged=judged,
            passed=not (judged and fallen),
        )


def _classes(task: Task, golds: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    for label in task.label_names:
        yield f"class {label}", np.asarray([gold == label for gold in golds])


def _lengths(words: Sequence[int]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Thirds by length, as far as the lengths can be told apart."""
    lengths = np.asarray(words)
    low, high = (int(bound) for bound in np.quantile(lengths, _THIRDS, method="lower"))
    yield f"up to {low} words", lengths <= low
    if high > low:
        between = str(high) if high == low + 1 else f"{low + 1} to {high}"
        yield f"{between} words", (lengths > low) & (lengths <= high)
    yield f"more than {high} words", lengths > high
