"""How many tokens a model can take in."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["context_length"]


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
