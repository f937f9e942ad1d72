"""LoRA through peft: fine-tuning few weights in place of all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from daftt_core.config import TeacherConfig
from daftt_core.errors import ModelError


def add_adapter(model: PreTrainedModel, config: TeacherConfig) -> PreTrainedModel:
    """Freeze a model and add low-rank matrices beside its linear layers, the output layer excepted.

    The matrices start from torch's random numbers, so call :func:`set_seeds` first; until they
    have learned something the model's outputs are unchanged.

    Args:
        model: The model to adapt; it is changed in place.
        config: Rank, scale and dropout (https://arxiv.org/abs/2106.09685).

    Raises:
        ModelError: The model has no layers of the kinds that can be adapted.
    """
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        with _quietly():
            adapted = get_peft_model(model, settings)
    except ValueError as error:
        raise ModelError(f"{config.model}: LoRA cannot adapt it: {error}") from None
    return cast(PreTrainedModel, adapted)


def merge_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Add an adapter to the weights it was trained with.

    Args:
        model: The model as it was before :func:`add_adapter`; it is changed in place.
        folder: The saved adapter.

    Returns:
        A plain model without any trace of the adapter.
    """
    with _quietly():
        adapted = PeftModel.from_pretrained(model, str(folder), torch_device=str(model.device))
    return cast(PreTrainedModel, adapted.merge_and_unload())


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence a warning of transformers about an attribute that peft uses by its old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield
