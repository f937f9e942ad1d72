"""Attention to the prefix that all rows share, computed for all of them at once.

A cache has to give each row its copy of the prefix's keys and values, and each head of a group
another. Here the queries of all rows look at the one prefix together, and at their own row's tokens
apart; the two results are joined by the weight that each would have in one softmax (as
FlashAttention joins its blocks: arXiv 2205.14135, section 3.1).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = ["let_share_prefix"]

_NAME = "daftt_shared_prefix"
_FAMILIES = frozenset({"gpt_neox", "llama"})  # the tests show that these pass the argument on


def let_share_prefix(model: Any) -> bool:
    """Let a model take the argument ``shared_prefix``, a cache of one row that comes before all.

    Tokens see all of it; the attention mask is that of the rows' own tokens.

    Args:
        model: A causal language model.

    Returns:
        Whether it takes the argument: on a CPU, and of a known family.
    """
    known = model.config.model_type in _FAMILIES and model.device.type == "cpu"
    if not known or model.config._attn_implementation not in ("sdpa", _NAME):
        return False
    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)
    return True


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    shared_prefix: Any = None,
    **others: Any,
) -> tuple[Tensor, None]:
    if shared_prefix is None:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return output
    rows, heads, tokens, size = query.shape
    kept = key.shape[1]  # heads of keys and values; each serves a group of the query's
    group = heads // kept
    own, own_weight = _attend_weighted(
        query, repeat_kv(key, group), repeat_kv(value, group), attention_mask, scaling
    )
    prefix = shared_prefix.layers[module.layer_idx]
    together = query.transpose(0, 1).reshape(1, kept, -1, size)
    shared, shared_weight = _attend_weighted(together, prefix.keys, prefix.values, None, scaling)
    shared = shared.reshape(heads, rows, tokens, size).transpose(0, 1)
    shared_weight = shared_weight.reshape(heads, rows, tokens).transpose(0, 1)
    share = torch.sigmoid(shared_weight - own_weight)
    joined = torch.lerp(own, shared, share.to(query.dtype).unsqueeze(-1))
    return joined.transpose(1, 2), None


def _attend_weighted(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float
) -> tuple[Tensor, Tensor]:
    """What attention gives, and the logarithm of its softmax's denominator."""
    given: tuple[Tensor, Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, False, attn_mask=mask, scale=scaling
    )
    return given
