"""How fast the teacher learns from packed batches, against plain padded ones.

    python benchmarks/teacher_training.py
    python benchmarks/teacher_training.py --model my-model --batches 4 --precision float32

The examples are those of the demo: 64 labelled movie reviews in both directions. DAFTT packs each
batch (no padding, the task's definition once, the output layer only where an answer is predicted).
The peer is the same model in the same Trainer with the same optimizer, batch size and precision,
fed in plain random order by transformers' DataCollatorForSeq2Seq. Both are given the same number of
batches in turn, several times, and the median counts, so that what else the machine does meets
both. Tokens are what the model really computes. The share of the peak compares the arithmetic of
the matrix products (6 for each weight and token, the output layer's only where it is computed;
attention's is left out) with that of one large matrix product in the same precision, timed in
between. The optimizer's step is part of the time: it is the same for both, and the smaller the
batches are in tokens, the more of the time it takes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    DataCollatorForSeq2Seq,
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from daftt_core.config import Config, from_flat
from daftt_core.data import prepare
from daftt_core.modeling import load_causal_lm, set_seeds, use_bfloat16
from daftt_core.preflight import resolve
from daftt_core.teacher.examples import IGNORED, TrainingSet, reading_order, training_set
from daftt_core.teacher.packing import choose_collator
from daftt_core.workspace import read_examples

_WARM_UP = 2
"""Steps before the clock: the first ones allocate the optimizer's state."""


def main() -> None:
    """Measure and print one line a way, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=Config().teacher.model, help="the teacher")
    parser.add_argument("--batches", type=int, default=6, help="timed batches a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each way")
    parser.add_argument("--batch-size", type=int, default=Config().teacher.batch_size)
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = from_flat(
            {
                "output": folder,
                "teacher_model": given.model,
                "teacher_batch_size": given.batch_size,
                "teacher_precision": given.precision,
            }
        )
        _measure(config, given.batches, given.rounds)


def _measure(config: Config, batches: int, rounds: int) -> None:
    teacher = config.teacher
    model, tokenizer = load_causal_lm(teacher.model)
    learn = _examples(config, tokenizer)
    bfloat16 = use_bfloat16(teacher.precision)
    print(
        f"{teacher.model}, {learn.dataset.num_rows} examples of {learn.tokens} tokens, batches of "
        f"{teacher.batch_size}, {'bfloat16' if bfloat16 else 'float32'}, {model.device}, "
        f"{torch.get_num_threads()} threads"
    )
    size = teacher.batch_size
    count = (batches + _WARM_UP) * size
    epochs = -(-count // learn.dataset.num_rows)
    lengths = [len(row) for row in learn.dataset["input_ids"]]
    ours = reading_order(lengths, epochs=epochs, batch_size=size, seed=config.run.seed)
    generator = np.random.default_rng(config.run.seed)
    plain = [int(i) for _ in range(epochs) for i in generator.permutation(len(lengths))]
    packed = choose_collator(model, tokenizer, packing=True, max_length=teacher.max_length)
    padded = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORED)
    pairs = learn.dataset.remove_columns("shared")
    ways = {
        "packed": (learn.dataset.select(ours[:count]), packed),
        "padded": (pairs.select(plain[:count]), padded),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peaks = [_peak(bfloat16, model.device)]
    for _ in range(rounds):
        for name, (data, collate) in ways.items():
            seconds[name].append(_train(config, model, data, collate, bfloat16))
        peaks.append(_peak(bfloat16, model.device))
    peak = statistics.median(peaks)
    rates = {}
    for name, (data, collate) in ways.items():
        took = statistics.median(seconds[name])
        timed = [data[at] for at in range(_WARM_UP * size, count)]
        made = [collate(timed[at : at + size]) for at in range(0, len(timed), size)]
        flops = sum(_flops(model, batch) for batch in made)
        tokens = sum(batch["input_ids"].numel() for batch in made)
        rates[name] = batches * size / took
        print(
            f"{name}: {rates[name]:.2f} examples/s, {tokens / batches:.0f} tokens computed a "
            f"batch, {took / batches:.2f} s a step, {flops / took / 1e9:.0f} of {peak / 1e9:.0f} "
            f"GFLOP/s ({flops / took / peak:.0%} of the matmul peak), rounds "
            f"{' '.join(f'{one:.1f}' for one in seconds[name])} s"
        )
    print(f"packed against padded: {rates['packed'] / rates['padded']:.2f} times as fast")


def _examples(config: Config, tokenizer: Any) -> TrainingSet:
    run = resolve(config)
    data = prepare(run, config.data)
    return training_set(
        run.task,
        read_examples(run, "data", data.digest, "labelled"),
        tokenizer,
        max_length=config.teacher.max_length,
        directions=config.teacher.directions,
    )


class _Clock(TrainerCallback):
    """Notes when steps end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def _train(
    config: Config,
    model: PreTrainedModel,
    data: Dataset,
    collate: Callable[[Sequence[Any]], Any],
    bfloat16: bool,
) -> float:
    """Seconds that the steps after the warm-up take."""
    set_seeds(config.run.seed)
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=config.teacher.batch_size,
                learning_rate=1e-7,  # each round must start from about the same weights
                bf16=bfloat16,
                optim="adamw_torch_fused",
                train_sampling_strategy="sequential",
                remove_unused_columns=False,
                save_strategy="no",
                logging_strategy="no",
                use_cpu=not torch.cuda.is_available(),
                dataloader_pin_memory=torch.cuda.is_available(),
                disable_tqdm=True,
                report_to="none",
            ),
            train_dataset=data,
            data_collator=collate,
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.ends[-1] - clock.ends[_WARM_UP - 1]


def _flops(model: PreTrainedModel, batch: Any) -> float:
    """Of the matrix products with weights, forward and backward (arXiv 2001.08361, section 2.1)."""
    output = model.get_output_embeddings().weight.numel()
    inside = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    embedding = model.get_input_embeddings().weight
    inside -= embedding.numel()
    if embedding is not model.get_output_embeddings().weight:
        inside -= output
    tokens = batch["input_ids"].numel()
    outputs = int(batch["logits_to_keep"].sum()) if "logits_to_keep" in batch else tokens
    return 6.0 * (inside * tokens + output * outputs)


def _peak(bfloat16: bool, device: torch.device) -> float:
    """FLOP/s of one large matrix product: the best of some seconds' tries."""
    width = 8192 if device.type == "cuda" else 2048
    kind = torch.bfloat16 if bfloat16 else torch.float32
    left, right = (torch.randn(width, width, device=device).to(kind) for _ in range(2))
    best = float("inf")
    until = time.perf_counter() + 2
    while time.perf_counter() < until:
        started = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2.0 * width**3 / best


if __name__ == "__main__":
    main()
