"""Kinds of GPU, whether a training fits them, and which settings nearest to it do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

from daftt_core.config import GpuModel
from daftt_core.errors import ConfigError, did_you_mean
from daftt_core.planning.memory import host_bytes, training_parts
from daftt_core.planning.shapes import ModelShape, Offload, Setup

_RESERVED_BYTES = 1.5 * 2**30
_USABLE_SHARE = 0.95
_GPUS_PER_NODE = 8
"""What one machine has at most, where more GPUs are suggested."""

_OFFLOADS: tuple[Offload, ...] = ("none", "cpu", "nvme")


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU.

    Attributes:
        name: As settings name it.
        memory_mib: Its memory in MiB as ``nvidia-smi`` reports it: less than the name says.
        has_bfloat16: Whether training computes in bfloat16 where the settings leave it to the
            machine.
    """

    name: GpuModel
    memory_mib: int
    has_bfloat16: bool = True

    @property
    def usable_bytes(self) -> float:
        """Return the bytes for tensors: CUDA and NCCL take 1.5 GiB, fragmentation 5%."""
        return _USABLE_SHARE * self.memory_mib * 2**20 - _RESERVED_BYTES


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-40", 40_960),
        Gpu("a100-80", 81_920),
        Gpu("h100-80", 81_559),
        Gpu("h200-141", 143_771),
        Gpu("l4-24", 23_034),
        Gpu("t4-16", 15_360, has_bfloat16=False),
        Gpu("v100-16", 16_160, has_bfloat16=False),
        Gpu("v100-32", 32_510, has_bfloat16=False),
    )
}


def find_gpu(name: str) -> Gpu:
    """Return a kind of GPU by its name.

    Raises:
        ConfigError: It is not known.
    """
    for gpu in GPUS.values():
        if gpu.name == name:
            return gpu
    known = [model for model in get_args(GpuModel) if model]
    raise ConfigError(
        f"GPU {name!r} is not known{did_you_mean(name, known)} (known: {', '.join(known)})"
    )


@dataclass(frozen=True)
class Suggestion:
    """Settings that fit.

    Attributes:
        setup: All of them.
        changes: What differs from the settings that do not fit, in words.
    """

    setup: Setup
    changes: str


def misfit(shape: ModelShape, setup: Setup, gpu: Gpu, host_limit: float | None = None) -> str:
    """Say what needs more memory than there is; empty when everything fits.

    Args:
        shape: The model.
        setup: How it is trained.
        gpu: The kind of GPU.
        host_limit: Bytes of one machine's memory; None: not known.
    """
    problems = []
    needed = training_parts(shape, setup).total
    if needed > gpu.usable_bytes:
        problems.append(
            f"needs about {_gib(needed)} on each of {setup.gpus} GPUs, and {gpu.name} has "
            f"{_gib(gpu.usable_bytes)} for it"
        )
    host = host_bytes(shape, setup)
    if host_limit is not None and host > host_limit:
        problems.append(
            f"needs about {_gib(host)} of memory on each machine, and its pods get "
            f"{_gib(host_limit)} (job.memory)"
        )
    return "; ".join(problems)


def nearest_that_fit(
    shape: ModelShape, setup: Setup, gpu: Gpu, host_limit: float | None = None
) -> list[Suggestion]:
    """Return the settings that fit and change least: on the same GPUs, on more, and with LoRA.

    A smaller forward pass, gradient checkpointing and a higher ZeRO stage change speed alone and
    count least; offload costs much time, so without it is nearer than with it; LoRA is another
    method and is offered only where it needs no more GPUs.
    """
    ways = [
        (c for c in _neighbours(setup) if c.gpus == setup.gpus and c.method == setup.method),
        (c for c in _neighbours(setup) if c.gpus > setup.gpus and c.method == setup.method
         and c.offload == setup.offload),
        (c for c in _neighbours(setup) if c.gpus == setup.gpus and c.method != setup.method
         and c.offload == setup.offload),
    ]  # fmt: skip
    suggestions = []
    for candidates in ways:
        fitting = [c for c in candidates if training_parts(shape, c).total <= gpu.usable_bytes]
        if fitting:
            best = min(fitting, key=lambda c: _distance(setup, c))
            suggestions.append(Suggestion(best, _changes(shape, setup, best, host_limit)))
    return suggestions


def _neighbours(setup: Setup) -> Iterator[Setup]:
    """Yield settings of the same batch that need less memory at once."""
    batch = setup.gpus * setup.micro_batch_size * setup.accumulation_steps
    for checkpointing, stage, offload, size, factor, method in product(
        {setup.gradient_checkpointing, True},
        range(setup.zero_stage, 4),
        _OFFLOADS[_OFFLOADS.index(setup.offload) :],
        {max(1, setup.micro_batch_size >> halvings) for halvings in range(11)},
        (1, 2, 4, 8, 16),
        {setup.method, "lora"},
    ):
        at_once = size * factor * setup.gpus
        possible = (offload == "none" or stage > 0) and (offload != "nvme" or stage == 3)
        if possible and batch % at_once == 0:
            yield replace(
                setup,
                gradient_checkpointing=checkpointing,
                zero_stage=stage,
                offload=offload,
                micro_batch_size=size,
                accumulation_steps=batch // at_once,
                gpus=factor * setup.gpus,
                gpus_per_node=_gpus_per_node(setup, factor),
                method=method,
            )


def _gpus_per_node(setup: Setup, factor: int) -> int:
    """Fill up a single machine with GPUs before there are more machines."""
    more = factor * setup.gpus_per_node
    alone = setup.gpus == setup.gpus_per_node
    return more if alone and more <= _GPUS_PER_NODE else setup.gpus_per_node


def _distance(setup: Setup, candidate: Setup) -> tuple[int, ...]:
    return (
        _OFFLOADS.index(candidate.offload),
        candidate.gpus,
        int(candidate.gradient_checkpointing != setup.gradient_checkpointing)
        + int(candidate.micro_batch_size != setup.micro_batch_size)
        + candidate.zero_stage
        - setup.zero_stage,
        -candidate.micro_batch_size,
    )


def _changes(shape: ModelShape, setup: Setup, candidate: Setup, host_limit: float | None) -> str:
    words = []
    if candidate.gpus_per_node != setup.gpus_per_node:
        words.append(f"job_gpus={candidate.gpus_per_node}")
    elif candidate.gpus != setup.gpus:
        words.append(f"job_nodes={candidate.gpus // candidate.gpus_per_node}")
    for name in ("method", "zero_stage", "offload", "micro_batch_size", "gradient_checkpointing"):
        value = getattr(candidate, name)
        if value != getattr(setup, name):
            shown = str(value).lower() if isinstance(value, bool) else value
            words.append(f"teacher_{name}={shown}")
    host = host_bytes(shape, candidate)
    if host_limit is None or host > host_limit:
        words.append(f"{_gib(host)} of memory for each machine")
    needed = training_parts(shape, candidate).total
    return f"{', '.join(words)} (about {_gib(needed)} on each of {candidate.gpus} GPUs)"


def _gib(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"
