"""Fine-tuning the teacher on the labelled examples, in both directions, so that it can go on."""

from __future__ import annotations

import gc
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from daftt_core.config import TeacherConfig
from daftt_core.modeling import load_causal_lm, save_model, set_seeds, use_bfloat16
from daftt_core.modeling.identity import model_digest
from daftt_core.progress import log
from daftt_core.storage import write_text
from daftt_core.teacher.adapters import add_adapter, merge_adapter
from daftt_core.teacher.best import KeepBest, take_best
from daftt_core.teacher.checkpoints import (
    CommitCheckpoints,
    TellProgress,
    newest_checkpoint,
)
from daftt_core.teacher.divergence import StopWhenDiverged
from daftt_core.teacher.examples import TrainingSet, reading_order, training_set
from daftt_core.teacher.packing import choose_collator
from daftt_core.workspace import Run, StageResult, read_examples, run_stage

__all__ = ["train"]

_HISTORY = "history.json"
_CHECKPOINTS = ".checkpoints"
_BEST = "best"
_DEV_EXAMPLES = 100
"""Dev examples behind the learning curve: enough for its shape, cheap enough for every epoch."""


def train(run: Run, config: TeacherConfig, data: str) -> StageResult:
    """Fine-tune the teacher.

    An interrupted training goes on from its newest checkpoint and ends as if it had not been
    interrupted.

    Args:
        run: The run.
        config: The teacher's settings.
        data: Digest of the ``data`` stage.

    Raises:
        ModelError: The model cannot be loaded or does not fit the task.
        TrainingError: The loss is no longer a number.
    """

    def work(folder: Path) -> dict[str, Any]:
        set_seeds(run.seed)
        start = newest_checkpoint(folder / _CHECKPOINTS)
        # The Trainer restores weights by their stored names, and GPT-NeoX stores its output layer
        # under another name than it has in memory; loading renames it.
        # An adapter goes back beside the weights it was trained beside.
        again = start if config.method == "full" else None
        model, tokenizer = load_causal_lm(again or config.model)
        parameters = model.num_parameters()
        if config.method == "lora":
            model = add_adapter(model, config)
        labelled = read_examples(run, "data", data, "labelled")
        dev = read_examples(run, "data", data, "dev")[:_DEV_EXAMPLES]
        learn = training_set(
            run.task,
            labelled,
            tokenizer,
            max_length=config.max_length,
            directions=config.directions,
        )
        check = training_set(
            run.task, dev, tokenizer, max_length=config.max_length, directions="label"
        )
        if learn.cut:
            log.info(
                "teacher: %d of %d examples are longer than %d tokens and lost their end",
                learn.cut,
                learn.dataset.num_rows,
                config.max_length,
            )
        history = _fit(run, config, folder, start, model, tokenizer, learn, check)
        write_text(folder / _HISTORY, json.dumps(history, indent=1))
        del model
        _finish(config, tokenizer, folder)
        shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)
        return {
            "model": config.model,
            "parameters": parameters,
            "examples": learn.dataset.num_rows,
            "tokens": learn.tokens,
            "cut": learn.cut,
            "steps": history[-1]["step"] if history else 0,
            **_best(history),
        }

    return run_stage(run, "teacher", [config, model_digest(config.model), data], work)


def _best(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """Which weights were kept: those of the lowest loss on dev, the earliest among equals."""
    checked = [entry for entry in history if "dev_loss" in entry]
    if not checked:
        return {}
    best = min(checked, key=lambda entry: entry["dev_loss"])
    return {"best_epoch": best["epoch"], "best_dev_loss": best["dev_loss"]}


def _finish(config: TeacherConfig, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Leave a plain model in the stage's folder: the best weights, an adapter merged into them."""
    best = folder / _CHECKPOINTS / _BEST
    if best.exists() and config.method == "full":
        take_best(best, folder)
        return
    gc.collect()  # the trained weights: two models may not fit
    model, _ = load_causal_lm(config.model)
    save_model(merge_adapter(model, best) if best.exists() else model, tokenizer, folder)


def _fit(
    run: Run,
    config: TeacherConfig,
    folder: Path,
    start: Path | None,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learn: TrainingSet,
    check: TrainingSet,
) -> list[dict[str, float]]:
    """Train in place, on from the checkpoint ``start`` if there is one; the learning curve."""
    if config.epochs == 0:
        return []
    checkpoints = folder / _CHECKPOINTS
    order = reading_order(
        [len(row) for row in learn.dataset["input_ids"]],
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=run.seed,
    )
    epoch_steps = math.ceil(learn.dataset.num_rows / config.batch_size)
    trainer = Trainer(
        model=model,
        args=_arguments(run, config, checkpoints, epoch_steps),
        train_dataset=learn.dataset.select(order),
        eval_dataset=check.dataset,
        processing_class=tokenizer,  # so that checkpoints are complete model folders
        data_collator=choose_collator(
            model, tokenizer, packing=config.packing, max_length=config.max_length
        ),
        callbacks=[
            CommitCheckpoints(),
            StopWhenDiverged("teacher", config.batch_size),
            KeepBest(
                lambda path: save_model(model, tokenizer, path),
                checkpoints / _BEST,
                config.patience,
            ),
            TellProgress("train teacher"),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    if start is not None:
        log.info("teacher: going on from %s", start.name)
    trainer.train(resume_from_checkpoint=None if start is None else str(start))
    return [
        {
            "step": entry["step"],
            "epoch": round(entry["step"] * config.batch_size / learn.dataset.num_rows, 3),
            **({"loss": entry["loss"]} if "loss" in entry else {}),
            **({"dev_loss": entry["eval_loss"]} if "eval_loss" in entry else {}),
        }
        for entry in trainer.state.log_history
        if "loss" in entry or "eval_loss" in entry
    ]


def _arguments(
    run: Run, config: TeacherConfig, checkpoints: Path, epoch_steps: int
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=1,  # the reading order holds all of them
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size * 2,
        learning_rate=config.learning_rate,
        bf16=use_bfloat16(config.precision),
        optim="adamw_torch_fused",
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(epoch_steps * config.epochs * config.warmup_ratio),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,  # the batches are made of more than the model is given
        eval_strategy="steps",
        eval_steps=epoch_steps,
        save_strategy="steps",
        save_steps=config.checkpoint_steps,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        prediction_loss_only=True,
        seed=run.seed,
        data_seed=run.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
    )
