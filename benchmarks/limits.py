"""What this machine can do at best: the yardsticks of the engines' benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from daftt_core.modeling import pack_weights

__all__ = ["fastest", "matmul_flops", "read_bandwidth", "weights"]


def fastest(work: Callable[[], object], rounds: int) -> float:
    """Seconds that the fastest of some rounds takes."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def matmul_flops(size: int = 2048) -> float:
    """Operations a second of one large float32 product, torch's own or a packed one."""
    rows = torch.randn(size, size)
    plain = torch.nn.Linear(size, size, bias=False)
    packed = torch.nn.Sequential(plain)
    pack_weights(packed)
    with torch.inference_mode():
        seconds = min(fastest(lambda: plain(rows), 5), fastest(lambda: packed(rows), 5))
    return 2.0 * size**3 / seconds


def read_bandwidth(size: int = 2**28) -> float:
    """Bytes a second at which a large tensor is read, here to be summed up."""
    numbers = torch.ones(size)
    return 4 * size / fastest(numbers.sum, 5)


def weights(model: torch.nn.Module) -> tuple[int, int]:
    """Weights that every token needs, and the output layer's, which only predictions need."""
    head = model.get_output_embeddings().weight  # type: ignore[operator]
    embedding = model.get_input_embeddings().weight  # type: ignore[operator]
    body = sum(one.numel() for one in model.parameters()) - embedding.numel()
    return body - (0 if head is embedding else head.numel()), head.numel()
