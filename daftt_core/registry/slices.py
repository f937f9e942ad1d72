"""Parts of the test examples on which a new champion must not be much worse than the old one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from daftt_core.config import EvaluationConfig, PromotionConfig
from daftt_core.evaluation.slices import slices_of
from daftt_core.evaluation.statistics import sign_flip_p
from daftt_core.records import Traits
from daftt_core.registry.models import SliceCheck
from daftt_core.tasks import Task


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
    champion, and chance alone would make it fall so far in at most half of 1 - confidence of cases:
    a sign-flip test over the slice's examples, with Bonferroni's correction for the number of
    slices that are judged. So one that is as good on every slice is refused for any in no more
    cases than that, however many and small they are; of a bootstrap's interval this is not true.

    Args:
        task: The task.
        ids: The test examples.
        golds: Their true outputs.
        scores: Shape [2, examples]: the champion's and the challenger's.
        traits: What is known of the test examples; without it there are slices by class alone.
        promotion: How far a slice may fall, and how small it may be.
        evaluation: Resamples, and the confidence.
        seed: Of the resamples.
    """
    start = {"class": "class ", "length": "", "column": f"{traits.column} " if traits else ""}
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
            name=f"{start[by]}{name}",
            examples=len(members),
            champion=float(before),
            challenger=float(after),
            judged=p is not None,
            passed=not fallen,
            p=p,
        )
