"""Recipes: what an arm's students learn from beside the real labels.

Either all synthetic examples with the probabilities of their labels, or the surest of the annotated
ones with labels alone; or, a second time, all of them with what the first students make of them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from daftt_core.config.training import SUREST_SHARE
from daftt_core.evaluation.label_sets import probability_matrix
from daftt_core.records import Example, Prediction, SyntheticExample
from daftt_core.student.lessons import ArmExamples
from daftt_core.tasks import Task


def surest(collected: ArmExamples) -> ArmExamples:
    """Leave out the least confident annotated examples of each label: two fifths of them."""
    by_label: dict[str | None, list[SyntheticExample]] = defaultdict(list)
    for example in collected.examples:
        if isinstance(example, SyntheticExample) and example.source == "annotated":
            by_label[example.output].append(example)
    left_out: set[str] = set()
    for examples in by_label.values():
        examples.sort(key=lambda example: (-example.confidence, example.id))
        left_out.update(each.id for each in examples[math.ceil(SUREST_SHARE * len(examples)) :])
    counts = collected.counts | {"annotated": collected.counts["annotated"] - len(left_out)}
    kept = (
        example
        for example in collected.examples
        if not (isinstance(example, SyntheticExample) and example.id in left_out)
    )
    return ArmExamples(tuple(kept), counts)


def with_answers(
    task: Task, collected: ArmExamples, answers: Sequence[Sequence[Prediction]]
) -> ArmExamples:
    """Give synthetic examples the mean probabilities of students' answers to them.

    Args:
        task: A task whose inputs have one label each.
        collected: The examples of an arm.
        answers: Of each student, to the synthetic examples in their order.
    """
    mean = np.mean([probability_matrix(task, [p.distribution for p in row]) for row in answers], 0)
    rows = iter(mean.tolist())

    def answered(example: Example) -> Example:
        if not isinstance(example, SyntheticExample):
            return example
        distribution = dict(zip(task.label_names, next(rows), strict=True))
        return example.model_copy(update={"distribution": distribution})

    return ArmExamples(tuple(map(answered, collected.examples)), collected.counts)
