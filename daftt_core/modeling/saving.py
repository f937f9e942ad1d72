"""Saving a model as a plain folder, with a tokenizer that reads special tokens as text.

A user's text may spell a special token, such as ``</s>`` or ``[SEP]``, and is only text all the
same. ``split_special_tokens`` keeps the tokenizers library from taking such tokens out of a text
before it is cut into pieces. The loaders set it, and it is stored with the tokenizer, so that plain
transformers heeds it too. It is not enough where the pieces themselves hold such tokens, as those
of a Unigram model do (T5, XLM-R, DeBERTa-v3): there one more pre-tokenizer cuts what spells them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Regex, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from daftt_core.errors import StorageError
from daftt_core.modeling.machine import be_quiet
from daftt_core.telemetry import log

SHARD_SIZE = "5GB"
"""Size of one file of weights, at most: several are stored and fetched at once, and a large model's
are never in memory all together when it is loaded."""

_ANY_CLASS = "PreTrainedTokenizerFast"


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write a model folder: configuration, weights (safetensors, up to 5 GB a file), tokenizer.

    ``weights`` are all weights by name, where the model itself does not hold them in full.

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


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer's files, so that plain transformers reads texts as this one does.

    The classes of some models rebuild their pre-tokenizers when they are loaded, without the one
    that :func:`read_as_text` has added; the class that keeps to the file is named in their place.
    """
    tokenizer.save_pretrained(folder)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    stored: Any = getattr(backend, "pre_tokenizer", None)
    is_sequence = isinstance(stored, pre_tokenizers.Sequence)
    parts = list(stored) if is_sequence else []
    if parts and isinstance(parts[-1], pre_tokenizers.Split):
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["tokenizer_class"] = _ANY_CLASS
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_as_text(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a tokenizer that was loaded with ``split_special_tokens`` split all special tokens."""
    live = _live_tokens(tokenizer)
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if live and backend is not None:
        halves = (f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in live)
        cut = pre_tokenizers.Split(Regex("|".join(halves)), "isolated")
        before = [backend.pre_tokenizer] if backend.pre_tokenizer is not None else []
        backend.pre_tokenizer = pre_tokenizers.Sequence([*before, cut])
        live = _live_tokens(tokenizer)
    if live:
        log.warning(
            "%s: its tokenizer takes %s for a token of its own wherever a text spells it",
            tokenizer.name_or_path,
            ", ".join(live),
        )


def _live_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the special tokens that the tokenizer sees in a text that only spells them.

    The unknown token is not among them: what is unknown may well become it.
    """
    added: dict[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    spelled = {
        *tokenizer.all_special_tokens,
        *(token.content for token in added.values() if token.special),
    }
    tokens = sorted(token for token in spelled if len(token) > 1 and token != tokenizer.unk_token)
    live = []
    for token in tokens:
        index = tokenizer.convert_tokens_to_ids(token)
        texts = [token, f"a{token}b", f"a {token} b"]
        encoded = tokenizer(texts, add_special_tokens=False).input_ids
        if any(index in ids for ids in encoded):
            live.append(token)
    return live
