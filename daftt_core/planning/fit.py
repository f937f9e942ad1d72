"""Does a training fit the machines, and what is nearest to it that does?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from daftt_core.planning.machines import Gpu
from daftt_core.planning.memory import host_bytes, training_parts
from daftt_core.planning.shapes import ModelShape, Offload, Setup

_GPUS_PER_NODE = 8
"""What one machine has at most, where more GPUs are suggested."""

_OFFLOADS: tuple[Offload, ...] = ("none", "cpu", "nvme")


@dataclass(frozen=True)
class Suggestion:
    """Settings that fit.

    Attributes:
        setup: All of them.
        changes: What is other than it was, in words.
    """

    setup: Setup
    changes: str


def fits(shape: ModelShape, setup: Setup, gpu: Gpu, host_limit: float | None = None) -> bool:
    """Whether each GPU, and each machine where its memory is known, can hold its part."""
    return not misfit(shape, setup, gpu, host_limit)


def misfit(shape: ModelShape, setup: Setup, gpu: Gpu, host_limit: float | None = None) -> str:
    """What is too large for what; empty when everything fits.

    Args:
        shape: The model.
        setup: How it is trained.
        gpu: The kind of GPU.
        host_limit: Bytes of one machine's memory; None: not known.
    """
    said = []
    needed = training_parts(shape, setup).total
    if needed > gpu.usable_bytes:
        said.append(
            f"needs about {_gib(needed)} on each of {setup.gpus} GPUs, and {gpu.name} has "
            f"{_gib(gpu.usable_bytes)} for it"
        )
    host = host_bytes(shape, setup)
    if host_limit is not None and host > host_limit:
        said.append(
            f"needs about {_gib(host)} of memory on each machine, and its pods get "
            f"{_gib(host_limit)} (job.memory)"
        )
    return "; ".join(said)


def nearest_that_fit(
    shape: ModelShape, setup: Setup, gpu: Gpu, host_limit: float | None = None
) -> list[Suggestion]:
    """The settings that fit and change least: on the same GPUs, on more of them, and with LoRA.

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
    found = []
    for candidates in ways:
        fitting = [c for c in candidates if training_parts(shape, c).total <= gpu.usable_bytes]
        if fitting:
            best = min(fitting, key=lambda c: _distance(setup, c))
            found.append(Suggestion(best, _changes(shape, setup, best, host_limit)))
    return found


def _neighbours(setup: Setup) -> Iterator[Setup]:
    """Settings of the same batch that need less at once."""
    batch = setup.gpus * setup.micro_batch_size * setup.accumulation_steps
    for checkpointing, stage, offload, size, more, method in product(
        {setup.gradient_checkpointing, True},
        range(setup.zero_stage, 4),
        _OFFLOADS[_OFFLOADS.index(setup.offload) :],
        {max(1, setup.micro_batch_size >> halvings) for halvings in range(11)},
        (1, 2, 4, 8, 16),
        {setup.method, "lora"},
    ):
        at_once = size * more * setup.gpus
        possible = (offload == "none" or stage > 0) and (offload != "nvme" or stage == 3)
        if possible and batch % at_once == 0:
            yield replace(
                setup,
                gradient_checkpointing=checkpointing,
                zero_stage=stage,
                offload=offload,
                micro_batch_size=size,
                accumulation_steps=batch // at_once,
                gpus=more * setup.gpus,
                gpus_per_node=_gpus_per_node(setup, more),
                method=method,
            )


def _gpus_per_node(setup: Setup, factor: int) -> int:
    """A single machine takes more GPUs as long as it can; then there are more machines."""
    more = factor * setup.gpus_per_node
    alone = setup.gpus == setup.gpus_per_node
    return more if alone and more <= _GPUS_PER_NODE else setup.gpus_per_node


def _distance(setup: Setup, other: Setup) -> tuple[int, ...]:
    return (
        _OFFLOADS.index(other.offload),
        other.gpus,
        int(other.gradient_checkpointing != setup.gradient_checkpointing)
        + int(other.micro_batch_size != setup.micro_batch_size)
        + other.zero_stage
        - setup.zero_stage,
        -other.micro_batch_size,
    )


def _changes(shape: ModelShape, setup: Setup, other: Setup, host_limit: float | None) -> str:
    words = []
    if other.gpus_per_node != setup.gpus_per_node:
        words.append(f"job_gpus={other.gpus_per_node}")
    elif other.gpus != setup.gpus:
        words.append(f"job_nodes={other.gpus // other.gpus_per_node}")
    for name in ("method", "zero_stage", "offload", "micro_batch_size", "gradient_checkpointing"):
        value = getattr(other, name)
        if value != getattr(setup, name):
            shown = str(value).lower() if isinstance(value, bool) else value
            words.append(f"teacher_{name}={shown}")
    host = host_bytes(shape, other)
    if host_limit is None or host > host_limit:
        words.append(f"{_gib(host)} of memory for each machine")
    needed = training_parts(shape, other).total
    return f"{', '.join(words)} (about {_gib(needed)} on each of {other.gpus} GPUs)"


def _gib(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"
