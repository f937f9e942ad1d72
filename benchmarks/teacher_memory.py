"""Predicted against real peak memory of a teacher's training step.

    python benchmarks/teacher_memory.py
    python benchmarks/teacher_memory.py --model olmo-2-1b --rows 8 --tokens 512 --only full

Each setting is trained for two steps by transformers' Trainer in a process of its own, with random
weights. On a GPU the peak is what CUDA's allocator gave out at most. On a CPU it is the growth of
the process's resident memory over what it had before the model was made (Linux only), with an
allocator that gives freed tensors back at once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from daftt_core.planning.architectures import read_shape
from daftt_core.planning.memory import MemoryParts, training_parts
from daftt_core.planning.shapes import Setup, find_model_config, known_models

SETTINGS = {
    "float32, full": Setup(bf16=False),
    "bfloat16 (autocast), full": Setup(),
    "float32, full, gradient checkpointing": Setup(bf16=False, gradient_checkpointing=True),
    "bfloat16, full, gradient checkpointing": Setup(gradient_checkpointing=True),
    "float32, LoRA rank 16": Setup(bf16=False, method="lora"),
    "bfloat16, LoRA rank 16": Setup(method="lora"),
    "float32, LoRA, gradient checkpointing": Setup(
        bf16=False, method="lora", gradient_checkpointing=True
    ),
    "bfloat16, LoRA, gradient checkpointing": Setup(method="lora", gradient_checkpointing=True),
}


def main() -> None:
    """Measure each setting and print one line a setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", choices=known_models())
    parser.add_argument("--rows", type=int, default=2, help="rows in one forward pass")
    parser.add_argument("--tokens", type=int, default=256, help="tokens of a row")
    parser.add_argument("--only", default="", help="settings whose name has this in it")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # one setting, in this process
    arguments = parser.parse_args()
    if arguments.measure:
        measured = _measure(arguments.model, Setup(**json.loads(arguments.measure)))
        print(json.dumps(measured))
        return
    shape = read_shape(find_model_config(arguments.model) or {})
    print(f"{arguments.model}, {arguments.rows} rows of {arguments.tokens} tokens, in MiB")
    print(f"{'setting':40} {'predicted':>10} {'real':>8} {'ratio':>6}   predicted parts")
    for name, plain in SETTINGS.items():
        if arguments.only not in name:
            continue
        setup = replace(plain, micro_batch_size=arguments.rows, row_tokens=arguments.tokens)
        parts = training_parts(shape, setup)
        real = _measure_apart(arguments.model, setup)
        print(
            f"{name:40} {parts.total / 2**20:10,.0f} {real / 2**20:8,.0f} "
            f"{parts.total / real:6.2f}   {_shown(parts)}",
            flush=True,
        )


def _shown(parts: MemoryParts) -> str:
    return ", ".join(f"{part} {size / 2**20:,.0f}" for part, size in asdict(parts).items())


def _measure_apart(model: str, setup: Setup) -> float:
    command = [sys.executable, __file__, "--model", model, "--measure", json.dumps(asdict(setup))]
    freeing = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=os.environ | freeing
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _measure(model: str, setup: Setup) -> float:
    """Peak bytes of two steps."""
    import tempfile
    import warnings

    import torch
    from datasets import Dataset
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
    )

    from daftt_core.modeling import be_quiet

    be_quiet()
    warnings.simplefilter("ignore")
    settings = find_model_config(model) or {}
    # whatever the libraries load on their first use is no part of the model
    torch.nn.Linear(8, 8)(torch.randn(2, 8)).sum().backward()
    start = _start_counting()
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings))
    if setup.method == "lora":
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(r=setup.lora_rank, target_modules="all-linear")
        network = get_peft_model(network, lora)
    ids = torch.randint(0, 1000, (2 * setup.micro_batch_size, setup.row_tokens)).tolist()
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            model=network,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=2,
                per_device_train_batch_size=setup.micro_batch_size,
                bf16=setup.bf16,
                gradient_checkpointing=setup.gradient_checkpointing,
                optim="adamw_torch_fused",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                logging_steps=1000,
                use_cpu=not torch.cuda.is_available(),
                dataloader_pin_memory=torch.cuda.is_available(),
            ),
            train_dataset=Dataset.from_list([{"input_ids": row, "labels": row} for row in ids]),
            data_collator=DataCollatorForSeq2Seq(_Tokenizer()),
        ).train()
    return _peak() - start


class _Tokenizer:
    """As much of one as the collator asks for: all rows have the same length."""

    padding_side = "right"

    def pad(self, features: list[dict[str, list[int]]], **_: object) -> dict[str, object]:
        import torch

        return {name: torch.tensor([row[name] for row in features]) for name in features[0]}


def _start_counting() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated())
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    if found is None:
        raise SystemExit("this system does not tell a process's peak memory")
    return int(found[1]) * 1024.0


if __name__ == "__main__":
    main()
