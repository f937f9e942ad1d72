"""Training one student with transformers' Trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import (
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback
from typing_extensions import override

from daftt_core.config import StudentConfig
from daftt_core.errors import TrainingError
from daftt_core.modeling import IGNORED, set_seeds, training_arguments
from daftt_core.modeling.pooling import mean_at_once
from daftt_core.student.encoding import Reading
from daftt_core.student.lessons import DISTRIBUTION, WEIGHT, InTurn, Lesson
from daftt_core.student.rows import only_rows, used_tokens
from daftt_core.telemetry import count_tokens

MAX_GRAD_NORM = 1.0
_LOGGING_STEPS = 10
_DEV_BATCH_SIZE = 64


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lesson: Lesson,
    config: StudentConfig,
    *,
    seed: int,
    name: str,
    folder: Path,
    on_step: Callable[[], None],
) -> tuple[float, int]:
    """Train a student in place: AdamW, a linear rise and fall of the rate, clipped gradients.

    Batches hold inputs of similar length, so that little of them is padding. A classifier on a CPU
    learns the embeddings of the tokens that occur, and no others. Nothing is saved on the way; the
    loss on dev is measured where patience is set.

    Args:
        model: The student.
        tokenizer: Its tokenizer, for padding.
        lesson: What it learns from.
        config: The settings.
        seed: Seed of dropout and of the order of the examples.
        name: The student's name in an error.
        folder: A folder where the Trainer may write; it leaves nothing there.
        on_step: Called after each optimizer step.

    Returns:
        The mean loss over the steps, and the step whose weights were kept.

    Raises:
        TrainingError: The loss or the gradient is not a finite number.
    """
    tokenizer.padding_side = "right"
    inputs = [part["input_ids"][:] for part in (lesson.dataset, lesson.dev) if part is not None]
    with (
        only_rows(model, used_tokens(model, tokenizer, inputs))
        if lesson.reading.task.is_classification
        else nullcontext(),  # what is written may be any token
        mean_at_once(model),
    ):
        return _train(model, tokenizer, lesson, config, seed, name, folder, on_step)


def _train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    lesson: Lesson,
    config: StudentConfig,
    seed: int,
    name: str,
    folder: Path,
    on_step: Callable[[], None],
) -> tuple[float, int]:
    collate = _Collator(model, tokenizer, lesson.reading)
    trainer = _StudentTrainer(
        lesson,
        config,
        model=model,
        args=_arguments(config, lesson.steps(config), seed, folder),
        data_collator=collate,
        processing_class=tokenizer,
        callbacks=[_Watch(name, config.learning_rate, on_step)],
    )
    trainer.remove_callback(PrinterCallback)
    best = None
    if config.patience and lesson.dev is not None:
        batches = collate.batches(lesson.dev, _DEV_BATCH_SIZE)
        best = BestWeights(
            model, lambda: dev_loss(model, batches), config.dev_steps, config.patience
        )
        trainer.add_callback(best)
    set_seeds(seed)  # constructing the Trainer may have drawn numbers
    result = trainer.train()
    kept_step = best.restore() if best else result.global_step
    return float(result.training_loss), kept_step


def _arguments(config: StudentConfig, steps: int, seed: int, folder: Path) -> TrainingArguments:
    return training_arguments(
        folder,
        config.precision,
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(config.warmup_ratio * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=MAX_GRAD_NORM,
        train_sampling_strategy="group_by_length",
        seed=seed,
        save_strategy="no",
        eval_strategy="no",
        # Losses are checked, not printed; each check makes the CPU wait for the GPU.
        logging_steps=_LOGGING_STEPS,
        logging_first_step=True,
        include_num_input_tokens_seen="non_padding",
    )


class _Collator:
    """Pads examples of any task to a batch; columns that are no inputs stay as they are."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reading: Reading
    ) -> None:
        self._pad: Any = (
            DataCollatorWithPadding(tokenizer)
            if reading.task.is_classification
            else DataCollatorForSeq2Seq(tokenizer, model=None if reading.forward else model)
        )

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        targets = {
            name: torch.tensor([row[name] for row in rows])
            for name in (WEIGHT, DISTRIBUTION)
            if name in rows[0]
        }
        no_inputs = {"length", *targets}
        inputs = [{k: v for k, v in row.items() if k not in no_inputs} for row in rows]
        return {**self._pad(inputs), **targets}

    def batches(self, dataset: Dataset, size: int) -> list[dict[str, torch.Tensor]]:
        """Return all of a data set in batches of similar length."""
        lengths = dataset["length"][:]
        ordered = dataset.select(sorted(range(len(lengths)), key=lengths.__getitem__))
        return [
            self(ordered.select(range(start, min(start + size, len(ordered)))).to_list())
            for start in range(0, len(ordered), size)
        ]


class _StudentTrainer(Trainer):
    """The Trainer with the students' objective and their order of the examples."""

    def __init__(self, lesson: Lesson, config: StudentConfig, **settings: Any) -> None:
        super().__init__(train_dataset=lesson.dataset, **settings)
        self._lesson, self._config = lesson, config

    @override
    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        weight, distribution = inputs.pop(WEIGHT, None), inputs.pop(DISTRIBUTION, None)
        if weight is None and distribution is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        continues = self._lesson.reading.continues
        return loss(model, inputs, weight, distribution, continues=continues)

    @override
    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        real, others = self._lesson.real, len(self._lesson.dataset) - self._lesson.real
        if self._config.order == "together" or not others:
            return super()._get_train_sampler(train_dataset)
        steps = partial(self._config.steps, ahead=self._lesson.ahead)
        parts = [(range(real, real + others), steps(0, others)), (range(real), steps(real))]
        lengths = self._lesson.dataset["length"][:]
        return InTurn(lengths, parts, self._config.batch_size, self.args.seed)


class _Watch(TrainerCallback):
    """Counts steps and tokens, and stops training that has diverged."""

    def __init__(self, name: str, learning_rate: float, on_step: Callable[[], None]) -> None:
        self._name, self._learning_rate, self._on_step = name, learning_rate, on_step
        self._tokens = 0

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._on_step()
        seen = int(state.num_input_tokens_seen)
        count_tokens(read=seen - self._tokens)
        self._tokens = seen

    @override
    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        logs = kwargs["logs"]
        names = {"loss": "loss", "train_loss": "loss", "grad_norm": "gradient's norm"}
        for key, quantity in names.items():
            value = float(logs.get(key, 0.0))
            if not math.isfinite(value):
                raise TrainingError(
                    f"{self._name}, by step {state.global_step}: the {quantity} became {value}; "
                    f"student_learning_rate ({self._learning_rate:g}) is too high, or the student "
                    "model's weights are damaged"
                )


def loss(
    model: torch.nn.Module,
    inputs: dict[str, Any],
    weight: torch.Tensor | None,
    distribution: torch.Tensor | None,
    *,
    continues: bool,
) -> torch.Tensor:
    """Return weighted cross-entropy: the mean over examples, or over the tokens of their outputs.

    That of a set of labels is the mean of each label's binary cross-entropy.

    Args:
        model: The student.
        inputs: A batch with ``labels``.
        weight: How much each example counts, of shape [examples]; None: all the same.
        distribution: The target, of shape [examples, labels]; None: the label alone, or the labels
            of a set, which are floats of this shape.
        continues: Whether the output continues the input, so that each token is predicted from
            those before it.
    """
    labels: torch.Tensor = inputs["labels"]
    logits: torch.Tensor = model(**inputs).logits.float()
    if labels.ndim == 1:
        target = labels if distribution is None else distribution
        losses = cross_entropy(logits, target, reduction="none")
        return (losses if weight is None else losses * weight).mean()
    if labels.is_floating_point():
        target = labels if distribution is None else distribution
        losses = binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1)
        return (losses if weight is None else losses * weight).mean()
    if continues:
        logits, labels = logits[:, :-1], labels[:, 1:]
    losses = cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED)
    if weight is not None:
        losses = losses * weight[:, None]
    return losses.sum() / (labels != IGNORED).sum()


def dev_loss(model: PreTrainedModel, batches: Sequence[Mapping[str, torch.Tensor]]) -> float:
    """Return the mean loss over labelled examples, or over the tokens of their outputs.

    The model is left in training mode.
    """
    total, count = 0.0, 0
    model.train(False)
    with torch.no_grad():
        for batch in batches:
            inputs = {name: value.to(model.device) for name, value in batch.items()}
            number = int((batch["labels"] != IGNORED).sum())
            total += float(model(**inputs).loss) * number
            count += number
    model.train()
    return total / count


class BestWeights(TrainerCallback):
    """Measures the loss on dev every few steps, remembers the best weights, and stops early.

    Args:
        model: The model that is trained.
        measure: Returns the current loss on dev.
        every: Steps between two measurements; the last step is measured too.
        patience: Measurements without a lower loss after which training stops.
    """

    def __init__(
        self, model: PreTrainedModel, measure: Callable[[], float], every: int, patience: int
    ) -> None:
        self._model, self._measure, self._every, self._patience = model, measure, every, patience
        self._best, self._since = math.inf, 0
        self._weights: dict[str, torch.Tensor] = {}
        self.step = 0

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step % self._every and state.global_step != state.max_steps:
            return
        current = self._measure()
        if math.isfinite(current) and current < self._best:
            self._best, self._since, self.step = current, 0, state.global_step
            self._weights = {k: v.detach().clone() for k, v in self._model.state_dict().items()}
        else:
            self._since += 1
            control.should_training_stop |= self._since >= self._patience

    def restore(self) -> int:
        """Restore the model's best weights; return the step they are of.

        Raises:
            TrainingError: No measured loss was a number.
        """
        if not self._weights:
            raise TrainingError(
                "the student's loss on dev was never a number; lower student_learning_rate"
            )
        self._model.load_state_dict(self._weights)
        return self.step
