"""The machine that models run on: its device, its cores, its random numbers, and its silence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from huggingface_hub.utils.tqdm import disable_progress_bars
from torch import Tensor
from transformers import TrainingArguments
from transformers.utils import logging as transformers_logging

from daftt_core.config import Precision
from daftt_core.errors import ConfigError, ModelError
from daftt_core.network import Retry, TransientError
from daftt_core.telemetry import LOOP_WIDTH, cpu_limit, use_gpus

_MEMORY = Retry(attempts=4, first_pause_seconds=20.0, longest_pause_seconds=60.0)


def choose_device() -> torch.device:
    """Return the CUDA device when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def move_to(model: torch.nn.Module, device: torch.device, retry: Retry = _MEMORY) -> None:
    """Move a model to a device, and again after a pause where its memory is taken.

    A pod that was begun again may share the GPU for a moment with the one that it replaces.

    Raises:
        ModelError: The device had no room in any attempt.
    """

    def attempt(_seconds_left: float) -> None:
        try:
            torch.nn.Module.to(model, device)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise TransientError(str(error).partition(". ")[0]) from error

    try:
        retry.call(attempt)
    except TransientError as error:
        size = sum(weights.numel() * weights.element_size() for weights in model.parameters())
        raise ModelError(
            f"{device}: no room for the model's {size / 1e9:.1f} GB ({error}); end what else uses "
            "it, or choose a smaller model or more memory"
        ) from None


def meter_gpus() -> None:
    """Record that the current work uses this machine's GPUs, where it has some."""
    if torch.cuda.is_available():
        use_gpus(torch.cuda.device_count(), torch.cuda.get_device_name())


def inference_dtype() -> torch.dtype:
    """Return the number format of a teacher that is queried and not trained.

    bfloat16 on GPUs that have it: half the memory, and large teachers are trained in it. float32
    elsewhere, where a small model's labels should be exact.
    """
    on_gpu = torch.cuda.is_available() and use_bfloat16("auto")
    return torch.bfloat16 if on_gpu else torch.float32


def use_bfloat16(precision: Precision) -> bool:
    """Return whether training computes its matrix products in bfloat16 (weights stay float32).

    ``auto`` means yes on GPUs and CPUs with instructions for it: without them bfloat16 is emulated
    and several times slower than float32.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def limit_threads() -> int:
    """Limit this process to its part of the cores.

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
    """Fix the current number of threads, so that sums are always divided alike.

    Until their number is set, MKL may take fewer as it sees fit, and digits would differ with it
    (its "Obtaining Numerically Reproducible Results" wants ``MKL_DYNAMIC=FALSE``); setting it turns
    that off. There are no more than this process may use cores.
    """
    torch.set_num_threads(min(torch.get_num_threads(), _usable_cores()))


def _usable_cores() -> int:
    """Return the cores that this process may use: fewer than the node's where a pod has a limit.

    More threads than that would use up the limit's share of each tenth of a second at once, and
    stand still together for the rest of it.
    """
    if hasattr(os, "sched_getaffinity"):  # counts what it is bound to, unlike cpu_count
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limit = cpu_limit()
    return cores if limit is None else max(1, min(cores, int(limit)))


def set_seeds(seed: int) -> None:
    """Seed Python, numpy and torch alike; numpy takes no more than 32 bits."""
    transformers.set_seed(seed % 2**32)


def be_quiet() -> None:
    """Silence the libraries' bars and advice: progress and problems go through DAFTT's own log."""
    if not torch.cuda.is_available():  # DeepSpeed, which the Trainer imports, prints a guess
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.disable_progress_bars()
    disable_progress_bars()


def training_arguments(folder: Path, precision: Precision, **settings: Any) -> TrainingArguments:
    """Return a Trainer's arguments: those that suit this machine and DAFTT, and ``settings``."""
    return TrainingArguments(
        output_dir=str(folder),
        bf16=use_bfloat16(precision),
        optim="adamw_torch_fused",  # on a CPU a step of 22 M parameters takes a third of the time
        remove_unused_columns=False,  # collators need columns that the models do not take
        logging_nan_inf_filter=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
        **settings,
    )


def pack_weights(model: Any) -> None:
    """Replace a model's linear layers by faster ones that can be used but not trained or saved.

    PyTorch's own products on a CPU rearrange a weight each time they use it. With the few rows of a
    decoding step that costs more than the product itself; here it is done once. Results differ from
    the plain layers' in rounding only. Layers on a GPU, or in another format than float32, stay as
    they are.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if (
                type(child) is torch.nn.Linear
                and child.weight.device.type == "cpu"
                and child.weight.dtype == torch.float32
            ):
                setattr(module, name, _PackedLinear(child))


class _PackedLinear(torch.nn.Module):
    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        # any number of rows may come: no layout is preferred for one of them
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, rows: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._weight, self._bias, "none", [], ""
        )
        return product
