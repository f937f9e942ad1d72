"""How long work takes: floating-point operations, bytes to move, and the share of the peak reached.

Sources: 2 operations for each parameter and token forward and 4 backward (arXiv 2001.08361,
section 2.1); attention's own products beside them; decoding bound by reading the weights once a
step. The shares are assumptions, chosen with care below published ones: llm-foundry's training of a
30B model reaches 55% of an A100's peak and 38% of an H100's at 2048 tokens a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from daftt_core.planning.machines import Gpu
from daftt_core.planning.shapes import ModelShape
from daftt_core.planning.training_setup import BFLOAT16, Setup

__all__ = ["Assumptions", "reading_seconds", "training_seconds", "writing_seconds"]

_ROWS_OF_WEIGHTS = 7
"""Float32 numbers that Adam reads or writes for each parameter: weight, gradient, two moments."""


@dataclass(frozen=True)
class Assumptions:
    """What cannot be known from settings alone.

    Attributes:
        tokens_per_example: Mean tokens of prompt and answer; None: as many as are allowed.
        training_utilization: Share of the GPU's peak that training reaches.
        inference_utilization: The same for reading prompts.
        bandwidth_utilization: Share of the memory's peak that decoding reaches.
        link_gb: GB a second between a GPU and its machine's memory, where there is offload.
        disk_gb: GB a second of a machine's disks, where there is offload to them.
        host_gb: GB a second of a machine's memory, which bounds Adam on its CPU.
        price_per_gpu_hour: Price of one GPU for one hour; None: no cost is worked out.
    """

    tokens_per_example: int | None = None
    training_utilization: float = 0.35
    inference_utilization: float = 0.3
    bandwidth_utilization: float = 0.5
    link_gb: float = 20.0
    disk_gb: float = 5.0
    host_gb: float = 100.0
    price_per_gpu_hour: float | None = None


def training_seconds(
    shape: ModelShape, setup: Setup, gpu: Gpu, tokens: float, steps: int, assumed: Assumptions
) -> float:
    """Time to train on ``tokens`` tokens in ``steps`` optimizer steps, on all GPUs together."""
    forward = _forward_operations(shape, setup.row_tokens)
    # frozen weights need no gradient of their own: one product of two falls away on the way back
    operations = forward * (3 if setup.method == "full" else 2) + forward * (
        1 if setup.gradient_checkpointing else 0
    )
    speed = gpu.peak_flops(bf16=setup.bf16) * assumed.training_utilization * setup.gpus
    return tokens * operations / speed + steps * _offload_seconds(shape, setup, assumed)


def reading_seconds(
    shape: ModelShape,
    gpu: Gpu,
    rows: int,
    row_tokens: int,
    assumed: Assumptions,
    *,
    weight_bytes: int,
) -> float:
    """Time in which one GPU takes in ``rows`` texts, with weights of so many bytes."""
    speed = gpu.peak_flops(bf16=weight_bytes == BFLOAT16) * assumed.inference_utilization
    return rows * row_tokens * _forward_operations(shape, row_tokens) / speed


def writing_seconds(
    shape: ModelShape,
    gpu: Gpu,
    rows: int,
    prompt_tokens: int,
    new_tokens: int,
    batch_size: int,
    assumed: Assumptions,
    *,
    weight_bytes: int,
) -> float:
    """Time in which one GPU writes ``new_tokens`` tokens for each of ``rows`` prompts."""
    steps = math.ceil(rows / batch_size) * new_tokens
    bandwidth = gpu.bandwidth_gb * 1e9 * assumed.bandwidth_utilization
    reading = weight_bytes * shape.products / bandwidth
    speed = gpu.peak_flops(bf16=weight_bytes == BFLOAT16) * assumed.inference_utilization
    computing = batch_size * 2 * shape.products / speed
    prompts = reading_seconds(shape, gpu, rows, prompt_tokens, assumed, weight_bytes=weight_bytes)
    return prompts + steps * max(reading, computing)


def _forward_operations(shape: ModelShape, row_tokens: int) -> float:
    """Operations of one token's forward pass; attention compares it with its whole row."""
    attention = sum(4 * b.count * b.attentions * b.attention * row_tokens for b in shape.blocks)
    return 2.0 * shape.products + attention


def _offload_seconds(shape: ModelShape, setup: Setup, assumed: Assumptions) -> float:
    """What one optimizer step waits for when its state is not on the GPUs."""
    if setup.offload == "none":
        return 0.0
    trained = setup.trained(shape)
    # gradients down and weights up, and with stage 3 the weights once more for the way back
    moved = setup.weight_bytes * (2 * trained + (setup.zero_stage == 3) * shape.parameters)
    machines = setup.gpus / setup.gpus_per_node
    seconds = moved / setup.gpus / (assumed.link_gb * 1e9)
    seconds += 4 * _ROWS_OF_WEIGHTS * trained / machines / (assumed.host_gb * 1e9)
    if setup.offload == "nvme":
        seconds += 2 * 12 * trained / machines / (assumed.disk_gb * 1e9)  # state in and out
    return seconds
