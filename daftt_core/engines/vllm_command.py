"""The command that serves the tuned teacher with vLLM."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig

from daftt_core.config import SynthesisConfig
from daftt_core.modeling import inference_dtype

ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
"""vLLM reports nothing to its authors, and takes nothing but the teacher's folder."""

_ON_CPU = ("--block-size", "32")
"""What prompts share is computed once in whole blocks, which are of 16 tokens on most GPUs but of
128 on a CPU, more than many prefixes have; 32 is the least that its kernels like."""

_ON_GPUS = ("--gpu-memory-utilization", "0.8")
"""vLLM takes this share of the memory at once; students that judge beside the teacher need some."""


def vllm_command(config: SynthesisConfig, teacher: Path, port: int) -> list[str]:
    """Return the program and the arguments that serve a teacher on all GPUs of this process.

    The teacher reads as many tokens as with the local engine, in the same number format, and what
    its authors recommend for sampling (``generation_config.json``) is left out as there.
    """
    gpus = torch.cuda.device_count()
    settings = AutoConfig.from_pretrained(teacher)
    heads = settings.num_attention_heads
    keys = getattr(settings, "num_key_value_heads", None) or heads
    most = min(config.max_length, getattr(settings, "max_position_embeddings", config.max_length))
    return [
        *("vllm", "serve", str(teacher)),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
        *("--dtype", str(inference_dtype()).removeprefix("torch.")),
        *("--max-model-len", str(most)),
        *("--generation-config", "vllm"),
        "--disable-uvicorn-access-log",
        *("--tensor-parallel-size", str(tensor_parallel(gpus, heads, keys))),
        *(_ON_GPUS if gpus else _ON_CPU),
    ]


def tensor_parallel(gpus: int, heads: int, keys: int) -> int:
    """Return among how many of the GPUs a model's attention can be shared, at least 1.

    Each takes as many heads as the others; heads of keys are shared too, or several GPUs have the
    same one.
    """
    shares = range(max(gpus, 1), 1, -1)
    fits = (n for n in shares if heads % n == 0 and (keys % n == 0 or n % keys == 0))
    return next(fits, 1)
