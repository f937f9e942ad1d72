"""Fine-tuning the teacher on the labelled examples, in both directions, so that it can go on."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import (
    DataCollatorForSeq2Seq,
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
from daftt_core.teacher.checkpoints import (
    CommitCheckpoints,
    StopWhenDiverged,
    TellProgress,
    newest_checkpoint,
)
from daftt_core.teacher.examples import IGNORED, TrainingSet, reading_order, training_set
from daftt_core.teacher.mixture import mixture_prompts
from daftt_core.workspace import Run, StageResult, read_examples, run_stage

__all__ = ["train"]

_HISTORY = "history.json"
_CHECKPOINTS = ".checkpoints"
_DEV_EXAMPLES = 100
"""Dev examples behind the learning curve: enough for its shape, cheap enough for every epoch."""


def train(run: Run, config: TeacherConfig, data: str, mixture: str = "") -> StageResult:
    """Fine-tune the teacher.

    An interrupted training goes on from its newest checkpoint and ends as if it had not been
    interrupted.

    Args:
        run: The run.
        config: The teacher's settings.
        data: Digest of the ``data`` stage.
        mixture: Digest of the ``mixture`` stage; empty where there is none.

    Raises:
        ModelError: The model cannot be loaded or does not fit the task.
        TrainingError: The loss is no longer a number.
    """

    def work(folder: Path) -> dict[str, Any]:
        set_seeds(run.seed)
        start = newest_checkpoint(folder / _CHECKPOINTS)
        # The Trainer restores weights by their stored names, and GPT-NeoX stores its output layer
        # under another name than it has in memory; loading renames it.
        model, tokenizer = load_causal_lm(config.model if start is None else start)
        labelled = read_examples(run, "data", data, "labelled")
        dev = read_examples(run, "data", data, "dev")[:_DEV_EXAMPLES]
        beside = mixture_prompts(run, mixture, tokenizer, config.max_length)
        learn = training_set(
            run.task,
            labelled,
            tokenizer,
            max_length=config.max_length,
            directions=config.directions,
            beside=beside,
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
        save_model(model, tokenizer, folder)
        shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)
        return {
            "model": config.model,
            "parameters": model.num_parameters(),
            "examples": learn.dataset.num_rows,
            "mixed_in": len(beside),
            "tokens": learn.tokens,
            "cut": learn.cut,
            "steps": history[-1]["step"] if history else 0,
        }

    return run_stage(run, "teacher", [config, model_digest(config.model), data, mixture], work)


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
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORED),
        callbacks=[CommitCheckpoints(), StopWhenDiverged("teacher"), TellProgress("train teacher")],
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
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(epoch_steps * config.epochs * config.warmup_ratio),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        train_sampling_strategy="sequential",
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
