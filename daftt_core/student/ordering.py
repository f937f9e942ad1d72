"""The order in which a student sees its examples, where it is not one shuffle of them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

__all__ = ["InTurn"]

_by_length: Any = get_length_grouped_indices  # comes without types


class InTurn(Sampler[int]):
    """One part of the examples after the other, each shuffled in batches of similar length."""

    def __init__(
        self,
        lengths: Sequence[int],
        parts: Sequence[tuple[range, int]],
        batch_size: int,
        seed: int,
    ) -> None:
        """Plan.

        Args:
            lengths: Tokens of each example.
            parts: The examples of each part, and the batches to make of them.
            batch_size: Examples in a batch.
            seed: Seed of the order.
        """
        self._lengths, self._batch_size, self._seed = lengths, batch_size, seed
        self._parts = [(part, batches * batch_size) for part, batches in parts]

    def __len__(self) -> int:
        return sum(count for _, count in self._parts)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        for part, count in self._parts:
            lengths = [self._lengths[index] for index in part]
            order: list[int] = []
            while len(order) < count:
                order += _by_length(lengths, self._batch_size, generator=generator)
            yield from (part[index] for index in order[:count])
