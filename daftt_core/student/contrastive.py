"""A contrastive start from few labels: first the encoder learns what belongs together, then a head.

This is what SetFit does (L. Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts",
arXiv 2209.11055): inputs of one label are moved together and those of different labels apart, and a
logistic regression is fitted on what the encoder then makes of them. Here the regression becomes
the last layer of the model itself, so such a student is a classifier like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn.functional import cross_entropy, normalize
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_linear_schedule_with_warmup

from daftt_core.config import StudentConfig
from daftt_core.config.training import CONTRASTIVE_BATCH
from daftt_core.errors import TrainingError
from daftt_core.modeling import set_seeds, use_bfloat16
from daftt_core.modeling.pooling import features, mean_at_once, output_layer
from daftt_core.student.lessons import DISTRIBUTION, WEIGHT, Lesson
from daftt_core.student.rows import only_rows, used_tokens
from daftt_core.student.training import MAX_GRAD_NORM
from daftt_core.telemetry import count_tokens

_SHARE_OF_RATE = 0.25  # of student_learning_rate: there is no head that has to move far
_TEMPERATURE = 0.1  # of Khosla et al.
_INVERSE_PENALTY = 10.0  # scikit-learn's C, for features of length 1
_FORWARD_SIZE = 8  # in one forward pass: batches are drawn without regard to lengths


def fit_contrastively(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lesson: Lesson,
    config: StudentConfig,
    *,
    steps: int,
    seed: int,
    name: str,
    on_step: Callable[[], None],
) -> float:
    """Train a student in place from labels alone.

    In a batch each input is drawn to those of its label and away from all others, by the cosine of
    what the encoder makes of them.

    Args:
        model: The student, with mean pooling.
        tokenizer: Its tokenizer, for padding.
        lesson: Labelled examples.
        config: The settings.
        steps: Optimizer steps.
        seed: Seed of dropout and of the order of the examples.
        name: The student's name in an error.
        on_step: Called after each optimizer step.

    Returns:
        The mean loss over the steps.

    Raises:
        TrainingError: The loss is not a finite number.
    """
    tokens = lesson.dataset["input_ids"][:]
    with only_rows(model, used_tokens(model, tokenizer, [tokens])), mean_at_once(model):
        labels = torch.tensor(lesson.dataset["labels"][:])
        vectors = _Vectors(model, tokenizer, lesson)
        loss = _train_encoder(model, vectors, labels, config, steps, seed, name, on_step)
        model.train(False)
        with torch.inference_mode():
            found = vectors.of(list(range(len(labels)))).cpu().double()
    fit_head(output_layer(model), found, labels)
    return loss


class _Vectors:
    """What a student makes of its examples, computed in small batches of similar length."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, lesson: Lesson
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._lengths = lesson.dataset["length"][:]
        no_inputs = {"labels", "length", WEIGHT, DISTRIBUTION} & set(lesson.dataset.column_names)
        self._rows = lesson.dataset.remove_columns(sorted(no_inputs)).to_list()

    def of(self, indices: list[int]) -> torch.Tensor:
        """Return the vectors of examples, of shape [examples, size]."""
        order = sorted(range(len(indices)), key=lambda place: self._lengths[indices[place]])
        parts = []
        for start in range(0, len(order), _FORWARD_SIZE):
            rows = [self._rows[indices[place]] for place in order[start : start + _FORWARD_SIZE]]
            padded = self._tokenizer.pad(rows, return_tensors="pt", padding_side="right")
            parts.append(features(self._model, dict(padded.to(self._model.device))).float())
        count_tokens(read=sum(self._lengths[index] for index in indices))
        return torch.cat(parts)[torch.tensor(order).argsort()]


def _train_encoder(
    model: PreTrainedModel,
    vectors: _Vectors,
    labels: torch.Tensor,
    config: StudentConfig,
    steps: int,
    seed: int,
    name: str,
    on_step: Callable[[], None],
) -> float:
    encoder: Any = model.base_model
    layers = encoder.encoder.layer[:-1]  # the last one is the mean
    weights = [*encoder.embeddings.parameters(), *layers.parameters()]
    rate = _SHARE_OF_RATE * config.learning_rate
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=config.weight_decay, fused=True)
    warmup = math.ceil(config.warmup_ratio * steps)
    linear: Any = get_linear_schedule_with_warmup  # comes without types
    schedule = linear(optimizer, warmup, steps)
    drawn = _batches(len(labels), seed)
    set_seeds(seed)
    model.train()
    total = 0.0
    for step in range(1, steps + 1):
        indices = next(drawn)
        with torch.autocast(
            model.device.type, torch.bfloat16, enabled=use_bfloat16(config.precision)
        ):
            found = vectors.of(indices)
        loss = _contrast(found, labels[indices].to(model.device))
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"{name}, by step {step}: the contrastive loss became {loss.item()}; "
                f"student_learning_rate ({config.learning_rate:g}) is too high, or the student "
                "model's weights are damaged"
            )
        total += loss.item()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, MAX_GRAD_NORM)
        optimizer.step()
        schedule.step()
        on_step()
    return total / steps


def _batches(examples: int, seed: int) -> Iterator[list[int]]:
    """Yield batches without end; each pass has every example once."""
    generator = torch.Generator().manual_seed(seed)
    size = min(CONTRASTIVE_BATCH, examples)
    waiting: list[int] = []
    while True:
        if len(waiting) < size:
            waiting += torch.randperm(examples, generator=generator).tolist()
        yield waiting[:size]
        waiting = waiting[size:]


def _contrast(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the supervised contrastive loss of a batch (its equation 2, "outside" of the log).

    P. Khosla et al. 2020, "Supervised Contrastive Learning", arXiv 2004.11362.

    Args:
        vectors: One for each input, of shape [inputs, size].
        labels: Their labels, of shape [inputs]; inputs that are alone with theirs only count as
            others.
    """
    directions = normalize(vectors, dim=1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    similarities = (directions @ directions.T / _TEMPERATURE).masked_fill(itself, -math.inf)
    log_shares = similarities.log_softmax(dim=1).masked_fill(itself, 0.0)
    equal = (labels[:, None] == labels[None, :]) & ~itself
    partners = equal.sum(dim=1)
    losses = -(log_shares * equal).sum(dim=1) / partners.clamp(min=1)
    return losses.sum() / (partners > 0).sum().clamp(min=1)


def fit_head(layer: torch.nn.Linear, vectors: torch.Tensor, labels: torch.Tensor) -> None:
    """Set a linear layer to the logistic regression of labels on vectors, with an L2 penalty.

    The problem is convex, so it has one solution, whatever the seed.

    Args:
        layer: Of shape [labels, size].
        vectors: Of shape [examples, size]; they are scaled to a mean length of 1 for the penalty.
        labels: Index of each example's label.
    """
    length = vectors.norm(dim=1).mean()
    scaled = vectors / length
    weight = torch.zeros(layer.weight.shape, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(layer.bias), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=500, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def objective() -> torch.Tensor:
        solver.zero_grad()
        misfit = cross_entropy(scaled @ weight.T + bias, labels, reduction="sum")
        value: torch.Tensor = _INVERSE_PENALTY * misfit + 0.5 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(objective)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.copy_(weight / length)
        layer.bias.copy_(bias)
