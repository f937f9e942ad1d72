"""GPUs: their memory, their peak speed, and how much of it work gets out of them.

Peaks are those of NVIDIA's data sheets for dense matrix products (without sparsity), of the SXM
form where there is one. Memory is what ``nvidia-smi`` reports, which is less than the name says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from daftt_core.config import GpuModel
from daftt_core.errors import ConfigError, did_you_mean

__all__ = ["GPUS", "Gpu", "find_gpu"]

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
