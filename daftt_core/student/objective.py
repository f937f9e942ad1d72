"""What a student is asked to learn: how much each example counts, and what is right for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy

from daftt_core.config import StudentConfig
from daftt_core.records import Example, SyntheticExample
from daftt_core.student.encoding import IGNORED
from daftt_core.tasks import Task

WEIGHT, DISTRIBUTION = "weight", "distribution"
"""Columns of what a model does not read itself; absent where all count the same, by label."""


def add_targets(
    dataset: Dataset, task: Task, config: StudentConfig, examples: Sequence[Example], real: int
) -> Dataset:
    """Add what the settings ask for beside the plain labels.

    Args:
        dataset: The examples' tokens and labels.
        task: The task.
        config: The settings.
        examples: The examples in the same order, real ones first.
        real: Number of real ones.

    Returns:
        The same with columns :data:`WEIGHT` (mean 1) and :data:`DISTRIBUTION` (a probability for
        each label), each only where it changes something.
    """
    weights = example_weights(config, examples, real)
    if any(weight != weights[0] for weight in weights):
        dataset = dataset.add_column(WEIGHT, weights)
    if config.soft_labels:
        known = [_distribution(task, example) for example in examples]
        dataset = dataset.add_column(DISTRIBUTION, known)
    return dataset


def example_weights(config: StudentConfig, examples: Sequence[Example], real: int) -> list[float]:
    """How much each example counts; 1 on average.

    With ``class``, an example of a label counts inversely to the label's number of examples, as
    scikit-learn's ``class_weight="balanced"``.

    Args:
        config: The settings.
        examples: The examples, real ones first.
        real: Number of real ones.
    """
    counts = Counter(example.output for example in examples)
    weights = []
    for index, example in enumerate(examples):
        weight = config.real_weight if index < real else 1.0
        if config.example_weights == "class":
            weight /= counts[example.output]
        elif config.example_weights == "confidence" and isinstance(example, SyntheticExample):
            weight *= example.confidence
        weights.append(weight)
    mean = sum(weights) / len(weights)
    return [weight / mean for weight in weights]


def _distribution(task: Task, example: Example) -> list[float]:
    found = example.distribution if isinstance(example, SyntheticExample) else {}
    found = found or {str(example.output): 1.0}
    return [found.get(label, 0.0) for label in task.label_names]


def loss(
    model: torch.nn.Module,
    inputs: dict[str, Any],
    weight: torch.Tensor | None,
    distribution: torch.Tensor | None,
    *,
    continues: bool,
) -> torch.Tensor:
    """Weighted cross-entropy: the mean over examples, or over the tokens of their outputs.

    Args:
        model: The student.
        inputs: A batch with ``labels``.
        weight: How much each example counts, of shape (examples,); None: all the same.
        distribution: What is right, of shape (examples, labels); None: the label alone.
        continues: Whether the output continues the input, so that each token is predicted from
            those before it.
    """
    labels: torch.Tensor = inputs["labels"]
    logits: torch.Tensor = model(**inputs).logits.float()
    if labels.ndim == 1:
        right = labels if distribution is None else distribution
        each = cross_entropy(logits, right, reduction="none")
        return (each if weight is None else each * weight).mean()
    if continues:
        logits, labels = logits[:, :-1], labels[:, 1:]
    each = cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED)
    if weight is not None:
        each = each * weight[:, None]
    return each.sum() / (labels != IGNORED).sum()
