"""Rows of different lengths read as one, after a prefix that they share.

A padded batch spends a good part of its work on padding, and a cache has to give each row its copy
of the prefix's keys and values, and each head of a group another. Here the rows stand one after
another without padding. All tokens look at the one prefix together, and at their own row's tokens
apart; the two results are joined by the weight that each would have in one softmax (as
FlashAttention joins its blocks: arXiv 2205.14135, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "daftt_joined_rows"
_FAMILIES = frozenset({"gpt_neox", "llama"})  # the tests show that these pass the argument on


@dataclass(frozen=True)
class Joined:
    """How rows were joined; the argument ``joined`` of a model that takes it.

    Attributes:
        prefix: Keys and values of the prefix of every row, for one row.
        shape: Rows, and tokens in the longest of them.
        cells: Index of each token in a grid of this shape, row by row.
    """

    prefix: DynamicCache
    shape: tuple[int, int]
    cells: Tensor

    def spread(self, tokens: Tensor) -> Tensor:
        """Turn [1, heads, tokens, size] into [rows, heads, row's tokens, size], zero-padded."""
        _, heads, _, size = tokens.shape
        grid = tokens.new_zeros(self.shape[0] * self.shape[1], heads, size)
        grid[self.cells] = tokens[0].transpose(0, 1)
        return grid.view(*self.shape, heads, size).transpose(1, 2)

    def gather(self, grid: Tensor) -> Tensor:
        """Turn [rows, heads, row's tokens, ...] into [tokens, heads, ...]."""
        return grid.transpose(1, 2).flatten(0, 1)[self.cells]


def accept_joined_rows(model: Any) -> bool:
    """Make a model accept the argument ``joined`` and one row of tokens that was joined from many.

    The attention mask is that of the rows' own tokens, of shape [rows, 1, row's tokens, row's
    tokens]; the prefix is seen by all.

    Returns:
        Whether it accepts the argument: on a CPU, and of a known family.
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
    joined: Joined | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    if joined is None:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
        return output
    _, heads, tokens, size = query.shape
    key_heads = key.shape[1]  # each serves a group of the query's heads
    group = heads // key_heads
    own, own_weight = _attend_weighted(
        joined.spread(query),
        repeat_kv(joined.spread(key), group),
        repeat_kv(joined.spread(value), group),
        attention_mask,
        scaling,
    )
    prefix = joined.prefix.layers[module.layer_idx]
    grouped = query.reshape(1, key_heads, group * tokens, size)
    shared, shared_weight = _attend_weighted(grouped, prefix.keys, prefix.values, None, scaling)
    weights = shared_weight.reshape(heads, tokens).T - joined.gather(own_weight)
    share = torch.sigmoid(weights).to(query.dtype).unsqueeze(-1)
    shared = shared.reshape(heads, tokens, size).transpose(0, 1)
    return torch.lerp(joined.gather(own), shared, share).unsqueeze(0), None


def _attend_weighted(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float
) -> tuple[Tensor, Tensor]:
    """Return attention's output, and the logarithm of its softmax's denominator."""
    output: tuple[Tensor, Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, False, attn_mask=mask, scale=scaling
    )
    return output
