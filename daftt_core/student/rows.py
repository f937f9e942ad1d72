"""Training the rows of an embedding table that an arm's examples use, and no others.

Of a small model's weights, most are rows for tokens (11.7 of MiniLM's 22.7 million), and an arm
uses a tenth of them. The others have no gradient, but in each step an optimizer walks through all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def used_tokens(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Iterable[Iterable[Iterable[int]]],
) -> list[int]:
    """Return the tokens of tokenized inputs, and those that a tokenizer or a model adds."""
    added = {*tokenizer.all_special_ids, model.config.pad_token_id}
    added.add(getattr(model.config, "decoder_start_token_id", None))
    found = {token for column in inputs for ids in column for token in ids}
    return sorted(found | {token for token in added if token is not None})


@contextmanager
def only_rows(model: PreTrainedModel, tokens: list[int]) -> Iterator[None]:
    """Let a model on a CPU have only these tokens' rows of its input embeddings in the block.

    They learn as they would among the others, which stay as they are: without a gradient, weight
    decay alone would change them, by a factor of 0.9999 with the default settings. Another token
    is an IndexError in the block.

    A table that is also the model's output layer stays whole, as every row has a gradient there;
    and on a GPU there is little to gain.

    Args:
        model: The model; its tokenizer's ids do not change.
        tokens: The tokens, without repetitions.
    """
    table: Any = model.get_input_embeddings()
    whole: nn.Parameter = table.weight
    users: list[Any] = [
        module
        for module in model.modules()
        if any(each is whole for each in module.parameters(recurse=False))
    ]
    if whole.device.type != "cpu" or not all(isinstance(user, nn.Embedding) for user in users):
        yield
        return
    rows = torch.full((len(whole),), len(tokens))  # beyond the last row
    rows[tokens] = torch.arange(len(tokens))
    part = nn.Parameter(whole.detach()[tokens], requires_grad=whole.requires_grad)
    paddings = [user.padding_idx for user in users]
    hooks = [user.register_forward_pre_hook(_Renumber(rows)) for user in users]
    for user, padding in zip(users, paddings, strict=True):
        user.weight = part
        user.padding_idx = None if padding is None else int(rows[padding])
    try:
        yield
    finally:
        with torch.no_grad():
            whole[tokens] = part.to(whole.dtype)
        for user, padding, hook in zip(users, paddings, hooks, strict=True):
            hook.remove()
            user.weight, user.padding_idx = whole, padding


class _Renumber:
    """Gives an embedding the numbers of its tokens' rows."""

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def __call__(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self._rows[inputs[0]], *inputs[1:]
