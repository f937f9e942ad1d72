"""Writing a model and its tokenizer as a plain folder that ``from_pretrained`` reads."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from daftt_core.errors import StorageError
from daftt_core.modeling.machine import be_quiet
from daftt_core.modeling.special_tokens import save_tokenizer

SHARD_SIZE = "5GB"
"""Size of one file of weights, at most: several are stored and fetched at once, and a large model's
are never in memory all together when it is loaded."""


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write a model folder: configuration, weights (safetensors, up to 5 GB a file), tokenizer.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        folder: Where to.
        weights: All weights by name, where the model itself does not hold them in full.

    Raises:
        StorageError: The weights could not be written, for lack of space for example.
    """
    be_quiet()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        model.save_pretrained(folder, state_dict=weights, max_shard_size=SHARD_SIZE)
    except SafetensorError as error:
        raise StorageError(f"{folder}: the weights could not be written: {error}") from None
    save_tokenizer(tokenizer, folder)
