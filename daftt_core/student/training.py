"""Training one student with transformers' Trainer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
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
from daftt_core.modeling import set_seeds, use_bfloat16
from daftt_core.student.encoding import InTurn, Reading
from daftt_core.student.objective import DISTRIBUTION, WEIGHT, loss
from daftt_core.student.stopping import BestWeights, dev_loss
from daftt_core.telemetry import count_tokens

MAX_GRAD_NORM = 1.0
_LOGGING_STEPS = 10
_DEV_BATCH_SIZE = 64


@dataclass(frozen=True)
class Lesson:
    """What the students of an arm learn from, made once for all of them.

    Attributes:
        reading: How their model takes examples in.
        dataset: Real examples first, as :func:`encode` and :func:`add_targets` give them.
        real: Number of real ones.
        dev: What they are looked at with while they learn; None where they are not.
    """

    reading: Reading
    dataset: Dataset
    real: int
    dev: Dataset | None

    def steps(self, config: StudentConfig) -> int:
        """Optimizer steps of one student."""
        return config.steps(self.real, len(self.dataset) - self.real)


@dataclass(frozen=True)
class Fitted:
    """How training went: the mean loss over its steps, and the step whose weights were kept."""

    train_loss: float
    kept_step: int


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
) -> Fitted:
    """Train a student in place: AdamW, a linear rise and fall of the rate, clipped gradients.

    Batches hold inputs of similar length, so that little of them is padding. Nothing is saved on
    the way; dev is looked at where patience is set.

    Args:
        model: The student.
        tokenizer: Its tokenizer, for padding.
        lesson: What it learns from.
        config: How.
        seed: Seed of dropout and of the order of the examples.
        name: The student's name in an error.
        folder: Where the Trainer may write; it leaves nothing there.
        on_step: Called after each optimizer step.

    Raises:
        TrainingError: The loss or the gradient is not a finite number.
    """
    tokenizer.padding_side = "right"
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
    set_seeds(seed)  # the Trainer's own making may have drawn numbers
    result = trainer.train()
    kept = best.restore() if best else result.global_step
    return Fitted(float(result.training_loss), kept)


def _arguments(config: StudentConfig, steps: int, seed: int, folder: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        bf16=use_bfloat16(config.precision),
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(config.warmup_ratio * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=MAX_GRAD_NORM,
        optim="adamw_torch_fused",  # on a CPU a step of 22 M parameters takes a third of the time
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,  # the collator takes out what is no input
        seed=seed,
        save_strategy="no",
        eval_strategy="no",
        # Losses are looked at, not printed; each look makes the CPU wait for the GPU.
        logging_steps=_LOGGING_STEPS,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
    )


class _Collator:
    """Pads examples of any task to a batch; what the model does not read comes along as it is."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reading: Reading
    ) -> None:
        self._pad: Any = (
            DataCollatorWithPadding(tokenizer)
            if reading.task.is_classification
            else DataCollatorForSeq2Seq(tokenizer, model=None if reading.forward else model)
        )

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        beside = {
            name: torch.tensor([row[name] for row in rows])
            for name in (WEIGHT, DISTRIBUTION)
            if name in rows[0]
        }
        left_out = {"length", *beside}
        kept = [{k: v for k, v in row.items() if k not in left_out} for row in rows]
        return {**self._pad(kept), **beside}

    def batches(self, dataset: Dataset, size: int) -> list[dict[str, torch.Tensor]]:
        """All of a data set in batches of similar length."""
        lengths = dataset["length"][:]
        ordered = dataset.select(sorted(range(len(lengths)), key=lengths.__getitem__))
        return [
            self(ordered.select(range(at, min(at + size, len(ordered)))).to_list())
            for at in range(0, len(ordered), size)
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
        parts = [
            (range(real, real + others), self._config.steps(0, others)),
            (range(real), self._config.steps(real)),
        ]
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
        for key, what in names.items():
            value = float(logs.get(key, 0.0))
            if not math.isfinite(value):
                raise TrainingError(
                    f"{self._name}, by step {state.global_step}: the {what} became {value}; "
                    f"student_learning_rate ({self._learning_rate:g}) is too high, or the student "
                    "model's weights are damaged"
                )
