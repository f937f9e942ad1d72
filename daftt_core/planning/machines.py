"""GPUs: their memory, their peak speed, and how much of it work gets out of them.

Peaks are those of NVIDIA's data sheets for dense matrix products (without sparsity), of the SXM
form where there is one. Memory is what ``nvidia-smi`` reports, which is less than the name says.

How long work takes: floating-point operations, bytes to move, and the share of the peak reached.

Sources: 2 operations for each parameter and token forward and 4 backward (arXiv 2001.08361,
section 2.1); attention's own products beside them; decoding bound by reading the weights once a
step. The shares are assumptions, chosen with care below published ones: llm-foundry's training of a
30B model reaches 55% of an A100's peak and 38% of an H100's at 2048 tokens a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from daftt_core.config import GpuModel
from daftt_core.errors import ConfigError, did_you_mean
from daftt_core.planning.shapes import BFLOAT16, ModelShape, Setup

_RESERVED_BYTES = 1.5 * 2**30
_USABLE_SHARE = 0.95


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU.

    Attributes:
        name: As it is known here.
        memory_mib: Its memory, in MiB.
        bfloat16_tflops: Peak of bfloat16 products; 0 where it has none.
        float32_tflops: Peak of float32 products, without TF32.
        bandwidth_gb: Peak of its memory, in GB a second.
        source: Where the peaks are from.
    """

    name: GpuModel
    memory_mib: int
    bfloat16_tflops: float
    float32_tflops: float
    bandwidth_gb: float
    source: str

    @property
    def usable_bytes(self) -> float:
        """What tensors can have: without CUDA's and NCCL's own 1.5 GiB, and 5% for fragments."""
        return _USABLE_SHARE * self.memory_mib * 2**20 - _RESERVED_BYTES

    @property
    def has_bfloat16(self) -> bool:
        """Whether training computes in bfloat16 where the settings leave it to the machine."""
        return self.bfloat16_tflops > 0

    def peak_flops(self, *, bf16: bool) -> float:
        """Operations a second at its best."""
        return 1e12 * (self.bfloat16_tflops if bf16 and self.has_bfloat16 else self.float32_tflops)


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-40", 40_960, 312, 19.5, 1555, "NVIDIA A100 data sheet"),
        Gpu("a100-80", 81_920, 312, 19.5, 2039, "NVIDIA A100 data sheet"),
        Gpu("h100-80", 81_559, 989, 67, 3350, "NVIDIA H100 data sheet"),
        Gpu("h200-141", 143_771, 989, 67, 4800, "NVIDIA H200 data sheet"),
        Gpu("l4-24", 23_034, 121, 30.3, 300, "NVIDIA L4 data sheet"),
        Gpu("t4-16", 15_360, 0, 8.1, 320, "NVIDIA T4 data sheet"),
        Gpu("v100-16", 16_160, 0, 15.7, 900, "NVIDIA V100 data sheet"),
        Gpu("v100-32", 32_510, 0, 15.7, 900, "NVIDIA V100 data sheet"),
    )
}


def find_gpu(name: str) -> Gpu:
    """A kind of GPU by its name.

    Raises:
        ConfigError: It is not one of those known.
    """
    for gpu in GPUS.values():
        if gpu.name == name:
            return gpu
    known = [model for model in get_args(GpuModel) if model]
    raise ConfigError(
        f"GPU {name!r} is not known{did_you_mean(name, known)} (known: {', '.join(known)})"
    )


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
