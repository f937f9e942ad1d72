"""Training one student with transformers' Trainer."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from daftt_core.metering import count_tokens
from daftt_core.modeling import set_seeds, use_bfloat16

__all__ = ["MAX_GRAD_NORM", "fit"]

MAX_GRAD_NORM = 1.0


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    config: StudentConfig,
    *,
    seed: int,
    name: str,
    folder: Path,
    on_step: Callable[[], None],
) -> float:
    """Train a student in place: AdamW, a linear rise and fall of the rate, clipped gradients.

    Batches hold inputs of similar length, so that little of them is padding. Nothing is evaluated
    or saved on the way.

    Args:
        model: The student.
        tokenizer: Its tokenizer, for padding.
        dataset: What it learns from, as :func:`encode` gives it.
        config: How.
        seed: Seed of dropout and of the order of the examples.
        name: The student's name in an error.
        folder: Where the Trainer may write; it leaves nothing there.
        on_step: Called after each optimizer step.

    Returns:
        The mean training loss over all steps.

    Raises:
        TrainingError: The loss or the gradient is not a finite number.
    """
    trainer = Trainer(
        model=model,
        args=_arguments(config, config.steps(len(dataset)), seed, folder),
        train_dataset=dataset,
        data_collator=_collator(model, tokenizer),
        processing_class=tokenizer,
        callbacks=[_Watch(name, config.learning_rate, on_step)],
    )
    trainer.remove_callback(PrinterCallback)
    set_seeds(seed)  # the Trainer's own making may have drawn numbers
    return float(trainer.train().training_loss)


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
        seed=seed,
        save_strategy="no",
        eval_strategy="no",
        logging_steps=1,  # the loss of every step is looked at, not printed
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
    )


def _collator(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Any:
    if model.can_generate():
        return DataCollatorForSeq2Seq(tokenizer, model=model)
    return DataCollatorWithPadding(tokenizer)


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
        for what, key in (("loss", "loss"), ("gradient's norm", "grad_norm")):
            value = float(logs.get(key, 0.0))
            if not math.isfinite(value):
                raise TrainingError(
                    f"{self._name}, step {state.global_step}: the {what} became {value}; "
                    f"student.learning_rate ({self._learning_rate:g}) is too high, or the student "
                    "model's weights are damaged"
                )
