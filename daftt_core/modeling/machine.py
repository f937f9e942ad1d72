"""The machine that models run on: its device, its cores, its random numbers, and its silence.

What a model can take in: how many tokens, and which of them each one sees.
"""

from __future__ import annotations

import os

import datasets
import torch
import transformers
from huggingface_hub.utils.tqdm import disable_progress_bars
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.utils import logging as transformers_logging

from daftt_core.config import Precision
from daftt_core.errors import ConfigError
from daftt_core.telemetry import use_gpus

LOOP_WIDTH = "DAFTT_LOOP_WIDTH"


def choose_device() -> torch.device:
    """The CUDA device when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def meter_gpus() -> None:
    """Note that the current work uses this machine's GPUs, where it has some."""
    if torch.cuda.is_available():
        use_gpus(torch.cuda.device_count(), torch.cuda.get_device_name())


def asking_dtype() -> torch.dtype:
    """The number format of a teacher that is asked and not trained.

    bfloat16 on GPUs that have it: half the memory, and large teachers are trained in it. float32
    elsewhere, where a small model's labels should be exact.
    """
    on_gpu = torch.cuda.is_available() and use_bfloat16("auto")
    return torch.bfloat16 if on_gpu else torch.float32


def use_bfloat16(precision: Precision) -> bool:
    """Whether training computes its matrix products in bfloat16 (the weights stay float32).

    ``auto`` says yes for GPUs and CPUs with instructions for it: without them bfloat16 is emulated
    and several times slower than float32.

    Args:
        precision: As configured.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def limit_threads() -> int:
    """Give this process its share of the cores.

    The environment variable ``DAFTT_LOOP_WIDTH`` says how many iterations of a pipeline's loop
    share this machine (default 1); two that each took all cores would slow each other down.

    Returns:
        The number of threads that torch uses from now on.

    Raises:
        ConfigError: The variable is not a positive integer.
    """
    width = os.environ.get(LOOP_WIDTH, "1")
    if not width.isdecimal() or int(width) < 1:
        raise ConfigError(f"{LOOP_WIDTH}: {width!r} must be a positive integer")
    threads = max(1, _usable_cores() // int(width))
    torch.set_num_threads(threads)
    return threads


def fix_threads() -> None:
    """Have as many threads as there are now for good, so that sums are always divided alike.

    Until their number is set, MKL may take fewer as it sees fit, and digits would differ with it
    (its "Obtaining Numerically Reproducible Results" wants ``MKL_DYNAMIC=FALSE``); setting it turns
    that off.
    """
    torch.set_num_threads(torch.get_num_threads())


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # counts what a container may use, unlike cpu_count
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_seeds(seed: int) -> None:
    """Seed Python, numpy and torch alike; numpy takes no more than 32 bits."""
    transformers.set_seed(seed % 2**32)


def be_quiet() -> None:
    """Silence the libraries' bars and advice: progress and problems go through DAFTT's own log."""
    if not torch.cuda.is_available():  # the Trainer imports DeepSpeed, which says so if not told
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.disable_progress_bars()
    disable_progress_bars()


def reads_forward(config: PreTrainedConfig) -> bool:
    """Whether a model is causal, such as GPT-2: no token sees those after it.

    Encoders such as BERT can be told to be, and are listed among the causal models for that.
    """
    kind = config.model_type
    if config.is_encoder_decoder or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return False
    return kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or getattr(config, "is_decoder", False)


def context_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The most tokens an input may have, special ones included; None where nothing limits it.

    The tokenizer's statement counts beside the model's, because some models (RoBERTa) reserve
    positions that no token can take. A tokenizer that knows no limit states an absurd one.
    """
    stated = [
        tokenizer.model_max_length,
        getattr(model.config, "max_position_embeddings", None),
        getattr(model.config, "n_positions", None),
    ]
    limits = [int(limit) for limit in stated if limit and limit < 10**9]
    return min(limits, default=None)
