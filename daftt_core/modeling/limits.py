"""What a model can take in: how many tokens, and which of them each one sees."""

from __future__ import annotations

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

__all__ = ["context_length", "reads_forward"]


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
