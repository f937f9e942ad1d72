"""Batches without padding: several examples in one row, none of which sees another.

A row holds each prompt's beginning (the task's definition) once, and behind it what follows it in
every example that shares it. A mask says who attends to whom: an example's tokens to the beginning
they share and to those before them in the same example. Position ids continue from the beginning,
as if each example stood alone. So loss and gradients are those of the examples alone, up to
rounding, and the output layer is computed only where an answer's token is predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    DataCollatorForSeq2Seq,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from daftt_core.modeling import IGNORED
from daftt_core.telemetry import log

Collator = Callable[[list[dict[str, Any]]], dict[str, Any]]

EXACT = ("gpt_neox", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3")
"""Model types whose packed loss was compared with that of the examples alone (by the tests)."""

_ROW_TOKENS = 1024
"""Tokens of a row, unless one example is longer. In a row every token is compared with every other
one, allowed or not: beyond about this length that costs more than full rows save."""

_PADDING = -1


def choose_collator(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    packing: bool,
    max_length: int,
) -> Collator:
    """Return the collator of a model: packing where it is known to be exact, else padding."""
    reason = why_not_packed(model.config, max_length)
    if packing and reason is None:
        padding = int(tokenizer.pad_token_id)
        return lambda examples: pack(examples, padding)
    if packing:
        log.info("teacher: examples are padded, not packed: %s", reason)
    pad = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORED)
    return lambda examples: pad(
        [{name: example[name] for name in ("input_ids", "labels")} for example in examples]
    )


def why_not_packed(config: PreTrainedConfig, max_length: int) -> str | None:
    """Return why packing might not be exact for a model; None where it is."""
    if config.model_type not in EXACT:
        return f"for models of type {config.model_type} packing is not known to be exact"
    if config._attn_implementation != "sdpa":
        return f"the attention is {config._attn_implementation}, and masks are made for sdpa"
    window = getattr(config, "sliding_window", None)
    if window is not None and getattr(config, "use_sliding_window", True) and window < max_length:
        return f"the attention sees {window} tokens back, and examples may have {max_length}"
    return None


@dataclass
class _Row:
    """Tokens of one row with, for each, what the mask and the loss need.

    Attributes:
        tokens: The tokens.
        positions: Place of each token in its example.
        segments: Which part a token belongs to: a shared beginning or the rest of an example.
        parents: The part before it, which it sees too; itself for a beginning.
        targets: Token to predict from each place; ``IGNORED`` where none is.
        beginnings: Segment of each beginning that the row holds.
        parts: How many segments there are.
    """

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    beginnings: dict[tuple[int, ...], int] = field(default_factory=dict)
    parts: int = 0

    def length_with(self, beginning: tuple[int, ...], tokens: int) -> int:
        """Return the row's length if an example of so many tokens were added."""
        return len(self.tokens) + tokens - len(beginning) * (beginning in self.beginnings)

    def add(self, beginning: tuple[int, ...], tokens: list[int], labels: list[int]) -> None:
        """Append an example, and its beginning if the row does not hold it yet."""
        parent = self.beginnings.get(beginning)
        if parent is None:
            parent = self.beginnings[beginning] = self.parts
            self._append(beginning, [IGNORED] * len(beginning), 0, parent)
        self._append(tokens, [*labels[1:], IGNORED], len(beginning), parent)

    def _append(
        self, tokens: Sequence[int], targets: Sequence[int], position: int, parent: int
    ) -> None:
        segment, self.parts = self.parts, self.parts + 1
        self.tokens += tokens
        self.targets += targets
        self.positions += range(position, position + len(tokens))
        self.segments += [segment] * len(tokens)
        self.parents += [parent] * len(tokens)


def pack(examples: Sequence[Mapping[str, Any]], padding: int) -> dict[str, Tensor]:
    """Put examples into as few rows as best fit finds, the longest first.

    Args:
        examples: With ``input_ids``, ``labels`` and ``shared``, the length of the beginning that
            may be shared with other examples.
        padding: Token that fills the shorter rows.

    Returns:
        Arguments of a causal language model: ``input_ids`` and ``position_ids`` of shape [rows,
        width], ``attention_mask`` (bool, [rows, 1, width, width]), ``logits_to_keep`` (bool,
        [rows, width]), and the targets at those places, ``labels`` and ``shift_labels``.
    """
    rows = _fill_rows(examples)
    width = max(len(row.tokens) for row in rows)
    positions = _matrix([row.positions for row in rows], width, 0)
    segments = _matrix([row.segments for row in rows], width, _PADDING)
    parents = _matrix([row.parents for row in rows], width, _PADDING)
    targets = _matrix([row.targets for row in rows], width, IGNORED)
    keys = segments[:, None, :]
    same_example = (keys == segments[:, :, None]) | (keys == parents[:, :, None])
    mask = same_example & (positions[:, None, :] <= positions[:, :, None])
    answers = torch.from_numpy(targets[targets != IGNORED])
    return {
        "input_ids": torch.from_numpy(_matrix([row.tokens for row in rows], width, padding)),
        "position_ids": torch.from_numpy(positions),
        "attention_mask": torch.from_numpy(mask[:, None]),
        "logits_to_keep": torch.from_numpy(targets != IGNORED),
        "labels": answers,
        "shift_labels": answers,  # the Trainer counts these, and the loss does not shift them again
    }


def _fill_rows(examples: Sequence[Mapping[str, Any]]) -> list[_Row]:
    budget = max(_ROW_TOKENS, *(len(example["input_ids"]) for example in examples))
    rows: list[_Row] = []
    for example in sorted(examples, key=lambda example: -len(example["input_ids"])):
        tokens, labels = list(example["input_ids"]), list(example["labels"])
        # The token before an answer belongs to the example: from there the answer is predicted.
        answers = (index for index, label in enumerate(labels) if label != IGNORED)
        answer = next(answers, len(labels))
        shared = max(0, min(int(example["shared"]), answer - 1))
        beginning = tuple(tokens[:shared])
        fitting = [row for row in rows if row.length_with(beginning, len(tokens)) <= budget]
        if not fitting:
            fitting = [_Row()]
            rows += fitting
        keys = [(beginning in row.beginnings, len(row.tokens)) for row in fitting]
        fitting[keys.index(max(keys))].add(beginning, tokens[shared:], labels[shared:])
    return rows


def _matrix(rows: Sequence[Sequence[int]], width: int, filler: int) -> NDArray[np.int64]:
    matrix = np.full((len(rows), width), filler, dtype=np.int64)
    for number, row in enumerate(rows):
        matrix[number, : len(row)] = row
    return matrix
