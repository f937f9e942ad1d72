"""Keys and values that outlive a forward pass: a prefix for all rows, and slots to write in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer


def prefix_cache(model: Any, prefix: list[int]) -> DynamicCache:
    """Compute a causal language model's keys and values of a prefix's tokens, for one row."""
    cache = DynamicCache()  # without the model's config: no layer forgets what leaves its window
    ids = torch.tensor([prefix], device=model.device)
    model(input_ids=ids, past_key_values=cache, logits_to_keep=1, use_cache=True)
    return cache


def shared_by_rows(prefix: DynamicCache) -> Cache:
    """Return a cache that puts the prefix before any number of rows and keeps nothing of them."""
    return Cache(layers=[_SharedLayer(layer) for layer in prefix.layers])


class _SharedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    def __init__(self, prefix: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(prefix.keys, prefix.values)
        self.keys, self.values = prefix.keys, prefix.values
        self._prefix: tuple[Tensor, Tensor] = prefix.keys, prefix.values

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        rows = (key_states.shape[0], -1, -1, -1)
        keys, values = (states.expand(rows) for states in self._prefix)
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


class SlotCache(Cache):
    """Room for a fixed number of sequences that come and go, all of which begin with one prefix.

    A token at position p is kept in column p of its slot, so that a token sees exactly the columns
    up to its own position, whatever an earlier sequence left behind them.

    Args:
        prefix: From :func:`prefix_cache`.
        slots: How many sequences there is room for.
        columns: Greatest length of a sequence, prefix included.
    """

    def __init__(self, prefix: DynamicCache, slots: int, columns: int) -> None:
        self._slot_layers = [_SlotLayer(layer, slots, columns) for layer in prefix.layers]
        super().__init__(layers=list(self._slot_layers))
        self._trash = columns

    def place(self, slots: Tensor | None, positions: Tensor, width: int) -> None:
        """Set where the next forward pass's tokens go.

        Args:
            slots: The slot of each row; None means all slots, in order.
            positions: Position of each token, of shape [rows, tokens]; negative for padding.
            width: Columns that the rows may look at.
        """
        columns = torch.where(positions < 0, self._trash, positions)
        for layer in self._slot_layers:
            layer.slots, layer.columns, layer.width = slots, columns, width

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these, which are renumbered in this order."""
        for layer in self._slot_layers:
            layer.states = layer.states[0][slots], layer.states[1][slots]


class _SlotLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    def __init__(self, prefix: Any, slots: int, columns: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(prefix.keys, prefix.values)
        self.states = (
            _slots_after(prefix.keys, slots, columns),
            _slots_after(prefix.values, slots, columns),
        )
        self.slots: Tensor | None = None
        self.columns = torch.empty(0)
        self.width = 0

    def get_seq_length(self) -> int:
        return self.width

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        keys, values = self.states
        rows = torch.arange(len(keys), device=keys.device) if self.slots is None else self.slots
        keys[rows[:, None], :, self.columns] = key_states.transpose(1, 2)
        values[rows[:, None], :, self.columns] = value_states.transpose(1, 2)
        if self.slots is None:
            return keys[:, :, : self.width], values[:, :, : self.width]
        return keys[rows, :, : self.width], values[rows, :, : self.width]


def _slots_after(prefix: Tensor, slots: int, columns: int) -> Tensor:
    _, heads, length, size = prefix.shape
    states = prefix.new_zeros(slots, heads, columns + 1, size)  # the last column takes padding
    states[:, :, :length] = prefix
    return states
