"""Special tokens that a user's text spells, such as ``</s>`` or ``[SEP]``: a text is only text.

``split_special_tokens`` keeps the tokenizers library from taking them out of a text before it is
cut into pieces. The loaders set it, and it is stored with the tokenizer, so that plain transformers
heeds it too. It is not enough where the pieces themselves hold such tokens, as those of a Unigram
model do (T5, XLM-R, DeBERTa-v3): there one more pre-tokenizer cuts what spells them in two.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tokenizers import Regex, pre_tokenizers
from transformers import PreTrainedTokenizerBase

from daftt_core.telemetry import log

_ANY_CLASS = "PreTrainedTokenizerFast"


def read_as_text(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a tokenizer that was loaded with ``split_special_tokens`` spell all special tokens out.

    Args:
        tokenizer: It is changed where its pieces hold special tokens.
    """
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


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer's files, so that plain transformers reads texts as this one does.

    The classes of some models build their pre-tokenizers anew when they are loaded, without the one
    that :func:`read_as_text` has added; the class that keeps to the file is named in their place.

    Args:
        tokenizer: The tokenizer.
        folder: Where to.
    """
    tokenizer.save_pretrained(folder)
    stored: Any = getattr(getattr(tokenizer, "backend_tokenizer", None), "pre_tokenizer", None)
    is_sequence = isinstance(stored, pre_tokenizers.Sequence)
    parts = list(stored) if is_sequence else []
    if parts and isinstance(parts[-1], pre_tokenizers.Split):
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["tokenizer_class"] = _ANY_CLASS
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _live_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The special tokens that a text is found to hold when it only spells them.

    The unknown token is not among them: what is unknown may well become it.
    """
    added: dict[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    spelled = {
        *tokenizer.all_special_tokens,
        *(one.content for one in added.values() if one.special),
    }
    tokens = sorted(token for token in spelled if len(token) > 1 and token != tokenizer.unk_token)
    live = []
    for token in tokens:
        index = tokenizer.convert_tokens_to_ids(token)
        texts = [token, f"a{token}b", f"a {token} b"]
        found = tokenizer(texts, add_special_tokens=False).input_ids
        if any(index in ids for ids in found):
            live.append(token)
    return live
