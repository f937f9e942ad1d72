"""How long several students of an arm take, against a plain Trainer for each.

    python benchmarks/student_training.py
    python benchmarks/student_training.py --examples 320 --epochs 1 --rounds 1

The examples are the demo's: labelled movie reviews, as many as its arm real+annotated has. DAFTT
reads the model and tokenizes once, puts inputs of like length into a batch, trains only the
embeddings of tokens that occur, and on a CPU trains the students side by side. The peer is what one
would write with transformers: for each seed the model and tokenizer are loaded, the texts are
tokenized by `Dataset.map`, and the Trainer pads random batches to their longest input; then it
saves the model and answers dev. Both take the same number of steps with the same head, optimizer,
schedule, batch size and precision, and both save and answer dev. They take turns, and the median
counts. Beside the time on the clock is the processor time, which other work on the machine changes
less.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from rounds import take_turns
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from daftt_core.config import StudentConfig, from_flat
from daftt_core.data import prepare
from daftt_core.modeling import (
    be_quiet,
    find_model,
    limit_threads,
    load_tokenizer,
    set_seeds,
    use_bfloat16,
)
from daftt_core.preflight import resolve
from daftt_core.records import Example, write_jsonl
from daftt_core.student import train_arm
from daftt_core.student.training import MAX_GRAD_NORM
from daftt_core.workspace import Run, read_examples, run_stage


def main() -> None:
    """Measure; prints a line for each way and round, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=964)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=StudentConfig().model)
    given = parser.parse_args()
    be_quiet()
    threads = limit_threads()
    config = from_flat({"data_labelled_count": given.examples, "data_dev_count": 400})
    student = StudentConfig(
        model=given.model, pooling="own", seeds=given.seeds, epochs=given.epochs, min_steps=0
    )
    with tempfile.TemporaryDirectory() as folder:
        run = resolve(config).model_copy(update={"uri": folder})
        data = prepare(run, config.data).digest
        examples, dev = (read_examples(run, "data", data, name) for name in ("labelled", "dev"))
        print(
            f"{given.model}: {given.seeds} students, {len(examples)} examples, "
            f"{student.steps(len(examples))} steps each, {len(dev)} dev examples, "
            f"{threads} threads, {'bfloat16' if use_bfloat16(student.precision) else 'float32'}"
        )
        ways: dict[str, Callable[[], list[float]]] = {
            "daftt": lambda: _ours(run, student, examples, dev),
            "plain": lambda: _plain(run, student, examples, dev),
        }
        take_turns(ways, given.rounds, lambda scores: f", dev {100 * statistics.mean(scores):.1f}%")


def _ours(
    run: Run, student: StudentConfig, examples: list[Example], dev: list[Example]
) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        own = run.model_copy(update={"uri": folder})

        def work(stage: Path) -> dict[str, int]:
            files = {"labelled": examples, "dev": dev}
            return {
                name: write_jsonl(stage / f"{name}.jsonl", rows) for name, rows in files.items()
            }

        data = run_stage(own, "data", [], work)
        scores: list[float] = train_arm(own, student, "real", data.digest).summary["dev_scores"]
        return scores


def _plain(
    run: Run, student: StudentConfig, examples: list[Example], dev: list[Example]
) -> list[float]:
    labels = run.task.label_names
    scores = []
    for seed in range(student.seeds):
        set_seeds(seed)
        path = find_model(student.model)
        tokenizer = load_tokenizer(path)
        model = AutoModelForSequenceClassification.from_pretrained(
            path, num_labels=len(labels), dtype=torch.float32
        )
        sets = []
        for rows in (examples, dev):
            columns = {
                "text": [row.text for row in rows],
                "labels": [labels.index(str(row.output)) for row in rows],
            }
            sets.append(
                Dataset.from_dict(columns).map(
                    lambda row, tokenizer=tokenizer: tokenizer(
                        row["text"], truncation=True, max_length=student.max_length
                    ),
                    batched=True,
                )
            )
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                model=model,
                args=_plain_arguments(student, student.steps(len(examples)), seed, folder),
                train_dataset=sets[0],
                data_collator=DataCollatorWithPadding(tokenizer),
                processing_class=tokenizer,
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            trainer.save_model(folder)
            found = trainer.predict(sets[1])
        scores.append(float(np.mean(found.predictions.argmax(-1) == found.label_ids)))
    return scores


def _plain_arguments(
    student: StudentConfig, steps: int, seed: int, folder: str
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=student.batch_size,
        per_device_eval_batch_size=64,
        bf16=use_bfloat16(student.precision),
        learning_rate=student.learning_rate,
        warmup_steps=math.ceil(student.warmup_ratio * steps),
        weight_decay=student.weight_decay,
        max_grad_norm=MAX_GRAD_NORM,
        seed=seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


if __name__ == "__main__":
    sys.exit(main())
