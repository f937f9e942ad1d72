"""Fine-tuning the teacher on the labelled examples, all weights or LoRA, resumable at any time."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from daftt_core.config import TeacherConfig
from daftt_core.config.training import CURVE_EXAMPLES
from daftt_core.distributed import Group, run_stage_together, this_rank
from daftt_core.errors import ConfigError, ModelError
from daftt_core.modeling import (
    fix_threads,
    load_causal_lm,
    model_digest,
    move_into_memory,
    save_model,
    set_seeds,
    training_arguments,
    use_bfloat16,
)
from daftt_core.records import write_text
from daftt_core.stages import DATA, TEACHER, TeacherResult
from daftt_core.teacher.callbacks import ReportProgress, StopGracefully, StopWhenDiverged
from daftt_core.teacher.checkpoints import (
    Best,
    CommitCheckpoints,
    KeepBest,
    agreed_checkpoint,
    best_weights,
    take_weights,
)
from daftt_core.teacher.deepspeed import ZeroTrainer, deepspeed_settings, divided, whole_weights
from daftt_core.teacher.examples import (
    TrainingSet,
    check_own_examples,
    mixture_prompts,
    reading_order,
    training_set,
    whole_batches,
)
from daftt_core.teacher.packing import choose_collator
from daftt_core.telemetry import log
from daftt_core.workspace import Run, StageResult, read_examples

_HISTORY = "history.json"
_CHECKPOINTS = ".checkpoints"


def train(
    run: Run, config: TeacherConfig, data: str, mixture: str = ""
) -> StageResult[TeacherResult]:
    """Fine-tune the teacher.

    An interrupted training resumes from its newest checkpoint and ends as if it had not been
    interrupted. Under torchrun the processes train one teacher together, and each step learns from
    the same examples whatever their number.

    Args:
        run: The run.
        config: The teacher's settings.
        data: Digest of the ``data`` stage.
        mixture: Digest of the ``mixture`` stage; empty where there is none.

    Raises:
        ConfigError: The processes cannot share a batch evenly.
        ModelError: The model cannot be loaded or does not fit the task.
        TaskError: The task's prompts would show an example of dev or test.
        TrainingError: The loss is no longer a number, or has exploded.
        StoppedError: The process got SIGTERM.
    """

    def work(group: Group, folder: Path) -> TeacherResult:
        fix_threads()
        set_seeds(run.seed)
        start = agreed_checkpoint(group, folder / _CHECKPOINTS, config)
        zero = deepspeed_settings(
            config,
            group.rank.count,
            bfloat16=use_bfloat16(config.precision),
            pin_memory=torch.cuda.is_available(),
        )
        fitting = _Fitting(run, config, folder, group, start, zero)
        with divided(zero):
            model, tokenizer, parameters = _load(fitting)
            learn, check = _training_sets(run, config, data, mixture, tokenizer)
            history = _fit(fitting, model, tokenizer, learn, check)
            del model
        best = best_weights(folder / _CHECKPOINTS) if group.rank.leads else None
        if group.rank.leads:
            write_text(folder / _HISTORY, json.dumps(history, indent=1))
            _export(config, tokenizer, folder, best)
        group.wait_for_all()
        return TeacherResult(
            model=config.model,
            parameters=parameters,
            examples=learn.dataset.num_rows,
            mixed_in=learn.mixed_in,
            tokens=learn.tokens,
            cut=learn.cut,
            steps=int(history[-1]["step"]) if history else 0,
            best_step=best.step if best else None,
            best_dev_loss=best.dev_loss if best else None,
        )

    try:
        config.micro_batches(this_rank().count)
    except ValueError as error:
        raise ConfigError(f"teacher: {error}") from None
    inputs = [config, model_digest(config.model), data, mixture]
    return run_stage_together(run, TEACHER, inputs, work)


@dataclass(frozen=True)
class _Fitting:
    """The training of one teacher.

    Attributes:
        run: The run.
        config: The teacher's settings.
        folder: The stage's folder on this machine.
        group: All processes.
        start: The checkpoint to resume from; None at the beginning.
        zero: DeepSpeed's settings; None without it.
    """

    run: Run
    config: TeacherConfig
    folder: Path
    group: Group
    start: Path | None
    zero: dict[str, Any] | None


def _load(fitting: _Fitting) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, int]:
    """Return the model to train, its tokenizer, and how many parameters it has."""
    config = fitting.config
    # The Trainer restores weights by their stored names, and GPT-NeoX stores its output layer
    # under another name than it has in memory; loading renames it. DeepSpeed restores weights by
    # their names in memory, and an adapter is restored beside the original weights.
    from_checkpoint = fitting.start if config.method == "full" and not fitting.zero else None
    model, tokenizer = load_causal_lm(from_checkpoint or config.model)
    if not fitting.zero:
        move_into_memory(model)
    parameters = sum(
        getattr(weights, "ds_numel", weights.numel()) for weights in model.parameters()
    )
    return add_adapter(model, config) if config.method == "lora" else model, tokenizer, parameters


def _training_sets(
    run: Run, config: TeacherConfig, data: str, mixture: str, tokenizer: PreTrainedTokenizerBase
) -> tuple[TrainingSet, TrainingSet]:
    """Return the examples to learn from, and those that the learning curve is measured on."""
    check_own_examples(run, data)
    labelled = read_examples(run, DATA, data, "labelled")
    dev = read_examples(run, DATA, data, "dev")[:CURVE_EXAMPLES]
    learn = training_set(
        run.task,
        labelled,
        tokenizer,
        max_length=config.max_length,
        directions=config.directions,
        mixture=mixture_prompts(run, mixture, tokenizer, config.max_length),
    )
    check = training_set(run.task, dev, tokenizer, max_length=config.max_length, directions="label")
    if learn.cut:
        log.info(
            "teacher: %d of %d examples are longer than %d tokens and lost their end",
            *(learn.cut, learn.dataset.num_rows, config.max_length),
        )
    return learn, check


def _export(
    config: TeacherConfig, tokenizer: PreTrainedTokenizerBase, folder: Path, best: Best | None
) -> None:
    """Write a plain model to the stage's folder: the best weights, with a merged adapter."""
    if best is not None and config.method == "full":
        take_weights(best, folder)
        return
    model, _ = load_causal_lm(config.model, device=torch.device("cpu"))
    save_model(model if best is None else _merge_adapter(model, best.folder), tokenizer, folder)


def _fit(
    fitting: _Fitting,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learn: TrainingSet,
    check: TrainingSet,
) -> list[dict[str, float]]:
    """Train, keeping the best weights and resuming if there is a checkpoint; return the curve."""
    config, group, start = fitting.config, fitting.group, fitting.start
    if config.epochs == 0:
        return []
    lengths, batch_size = learn.lengths, config.batch_size
    order = reading_order(
        lengths, epochs=config.epochs, batch_size=batch_size, seed=fitting.run.seed
    )
    stop = StopGracefully(group)

    def save(path: Path) -> None:
        weights = whole_weights(trainer)
        if group.rank.leads:
            save_model(model, tokenizer, path, weights)

    trainer = ZeroTrainer(
        model=model,
        args=_arguments(fitting, math.ceil(learn.dataset.num_rows / batch_size)),
        train_dataset=whole_batches(learn.dataset.select(order), batch_size),
        eval_dataset=check.dataset,
        processing_class=tokenizer,  # so that checkpoints are complete model folders
        data_collator=choose_collator(
            model, tokenizer, packing=config.packing, max_length=config.max_length
        ),
        callbacks=[
            CommitCheckpoints(group, config.keep_checkpoints),
            StopWhenDiverged(batch_size),
            KeepBest(save, group, config.patience),
            stop,
            ReportProgress(lengths, order, batch_size, check.tokens),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    with stop.listening():
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
    return [
        {
            "step": entry["step"],
            "epoch": round(entry["step"] * batch_size / learn.dataset.num_rows, 3),
            **({"loss": entry["loss"]} if "loss" in entry else {}),
            **({"dev_loss": entry["eval_loss"]} if "eval_loss" in entry else {}),
        }
        for entry in trainer.state.log_history
        if "loss" in entry or "eval_loss" in entry
    ]


def _arguments(fitting: _Fitting, epoch_steps: int) -> TrainingArguments:
    run, config = fitting.run, fitting.config
    micro_batch, accumulation = config.micro_batches(fitting.group.rank.count)
    return training_arguments(
        fitting.folder / _CHECKPOINTS,
        config.precision,
        num_train_epochs=1,  # the reading order holds all of them
        per_device_train_batch_size=micro_batch,
        per_device_eval_batch_size=micro_batch * 2,
        gradient_accumulation_steps=accumulation,
        activation_checkpointing=config.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        deepspeed=fitting.zero,
        ddp_find_unused_parameters=False,
        learning_rate=config.learning_rate,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(epoch_steps * config.epochs * config.warmup_ratio),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        train_sampling_strategy="sequential",
        eval_strategy="steps",
        eval_steps=epoch_steps,
        save_strategy="steps",
        save_steps=config.checkpoint_steps,
        logging_steps=1,
        prediction_loss_only=True,
        seed=run.seed,
        data_seed=run.seed,
    )


def add_adapter(model: PreTrainedModel, config: TeacherConfig) -> PreTrainedModel:
    """Freeze a model and add low-rank matrices to its linear layers except the output layer.

    This is LoRA (https://arxiv.org/abs/2106.09685). The model is changed in place. The matrices
    start from torch's random numbers; until they are trained, the model's outputs are unchanged.

    Raises:
        ModelError: The model has no layers of the kinds that can be adapted.
    """
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        with _quietly():
            adapted = get_peft_model(model, settings)
    except ValueError as error:
        raise ModelError(f"{config.model}: LoRA cannot adapt it: {error}") from None
    return cast(PreTrainedModel, adapted)


def _merge_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Add a saved adapter to the model it was trained with, in place; return a plain model."""
    with _quietly():
        adapted = PeftModel.from_pretrained(model, str(folder), torch_device=str(model.device))
    return cast(PreTrainedModel, adapted.merge_and_unload())


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence a warning of transformers about an attribute that peft uses by its old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield
