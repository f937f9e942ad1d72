"""Writing many texts side by side: one that has ended makes room for one that waits.

A batch that lasts until its longest text has ended spends most of its steps on texts that ended
long before. Here each text has a slot and a random generator of its own, and new ones enter while
others are under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from daftt_core.engines.caches import SlotCache

# Sorting a whole vocabulary at each step costs as much as the model does, and few nuclei hold more
# than a few hundred tokens.
_NUCLEUS_GUESSES = (256, 4096)


def draw(
    logits: Tensor, generators: Sequence[np.random.Generator], temperature: float, top_p: float
) -> Tensor:
    """Draw one token for each row, of shape [rows], by the inverse of the nucleus's CDF.

    A row's token depends on its logits and its generator and not on the rows beside it.

    Args:
        logits: Of shape [rows, tokens].
        generators: One for each row; each gives one number.
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: The draw is from the fewest tokens that hold this much probability.
    """
    if temperature == 0:
        return logits.argmax(-1)
    probs = (logits / temperature).softmax(-1)
    uniform = torch.tensor([generator.random() for generator in generators]).to(probs)
    drawn = torch.empty_like(uniform, dtype=torch.long)
    rows = torch.arange(len(probs), device=probs.device)
    for guess in (*_NUCLEUS_GUESSES, probs.shape[1]):
        top = probs[rows].topk(min(guess, probs.shape[1]), dim=-1)
        enough = (top.values.sum(-1) >= top_p) | (guess >= probs.shape[1])
        drawn[rows[enough]] = _invert(
            top.values[enough], top.indices[enough], uniform[rows[enough]], top_p
        )
        rows = rows[~enough]
        if not len(rows):
            break
    return drawn


def _invert(probs: Tensor, tokens: Tensor, uniform: Tensor, top_p: float) -> Tensor:
    """Return the tokens at which the nucleus's CDF reaches the uniform numbers, one for each row.

    ``probs``, in descending order, and ``tokens`` have the shape [rows, tokens].
    """
    reached = probs.cumsum(-1)
    nucleus = reached - probs < top_p
    target = uniform * (probs * nucleus).sum(-1)
    column = (reached <= target.unsqueeze(1)).sum(-1, keepdim=True)
    return tokens.gather(1, column.clamp(max=tokens.shape[1] - 1)).squeeze(1)


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: Divides the logits; 0 takes the most probable token.
        top_p: The draw is from the fewest tokens that hold this much probability.
        max_new_tokens: Greatest length of a text.
        end: The token that ends a text.
    """

    temperature: float
    top_p: float
    max_new_tokens: int
    end: int


@dataclass
class Text:
    """A text being written.

    Attributes:
        row: Which of the caller's prompts it answers.
        prompt: The prompt's tokens after the shared prefix.
        generator: Decides its draws.
        tokens: The tokens written so far, the end mark included.
        log_probs: Log-probability at temperature 1 of each of these tokens.
    """

    row: int
    prompt: list[int]
    generator: np.random.Generator
    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)


def write_texts(
    model: Any, prefix: DynamicCache, texts: Sequence[Text], slots: int, sampling: Sampling
) -> Iterator[Text]:
    """Write texts, which enter in this order, yielding each as soon as it has ended.

    Args:
        model: A causal language model.
        prefix: Keys and values of the prefix that all prompts share.
        texts: Texts that have not begun.
        slots: How many are written side by side.
        sampling: How tokens are drawn.
    """
    longest = max(len(text.prompt) for text in texts) + sampling.max_new_tokens
    cache = SlotCache(prefix, slots, prefix.get_seq_length() + longest)
    start = prefix.get_seq_length()
    waiting = deque(texts)
    seats: list[Text | None] = [None] * slots
    while waiting or any(seats):
        free = [slot for slot, text in enumerate(seats) if text is None]
        if waiting and len(free) >= max(1, len(seats) // 8):  # reading a prompt alone is slow
            entering = {slot: waiting.popleft() for slot in free[: len(waiting)]}
            logits = _read(model, cache, start, entering)
            seats = [entering.get(slot, text) for slot, text in enumerate(seats)]
            yield from _extend(seats, list(entering), logits, sampling)
            continue
        taken = [slot for slot, text in enumerate(seats) if text is not None]
        if not waiting and 4 * len(taken) <= 3 * len(seats):
            cache.keep(torch.tensor(taken, device=model.device))
            seats = [seats[slot] for slot in taken]
            taken = list(range(len(seats)))
        logits = _step(model, cache, start, seats)
        yield from _extend(seats, taken, logits[taken], sampling)


def _read(model: Any, cache: SlotCache, start: int, entering: dict[int, Text]) -> Tensor:
    """Read the prompts that enter; return the logits after them, [texts, vocabulary]."""
    width = max(len(text.prompt) for text in entering.values())
    tokens, positions = [], []
    for text in entering.values():
        padding = width - len(text.prompt)
        tokens.append([0] * padding + text.prompt)
        positions.append([-1] * padding + list(range(start, start + len(text.prompt))))
    slots = torch.tensor(list(entering), device=model.device)
    return _forward(model, cache, slots, tokens, positions)


def _step(model: Any, cache: SlotCache, start: int, seats: Sequence[Text | None]) -> Tensor:
    """Read each text's newest token; return the logits after it, [slots, vocabulary]."""
    tokens = [[text.tokens[-1] if text else 0] for text in seats]
    positions = [
        [start + len(text.prompt) + len(text.tokens) - 1 if text else -1] for text in seats
    ]
    return _forward(model, cache, None, tokens, positions)


def _forward(
    model: Any,
    cache: SlotCache,
    slots: Tensor | None,
    tokens: list[list[int]],
    positions: list[list[int]],
) -> Tensor:
    position_ids = torch.tensor(positions, device=model.device)
    width = int(position_ids.max()) + 1
    cache.place(slots, position_ids, width)
    position_ids = position_ids.clamp(min=0)
    columns = torch.arange(width, device=model.device)
    hidden = columns > position_ids.unsqueeze(-1)
    mask = torch.zeros(hidden.shape, dtype=model.dtype, device=model.device)
    output = model(
        input_ids=torch.tensor(tokens, device=model.device),
        attention_mask=mask.masked_fill_(hidden, torch.finfo(model.dtype).min).unsqueeze(1),
        position_ids=position_ids,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = output.logits[:, -1].float()
    return logits


def _extend(
    seats: list[Text | None], taken: Sequence[int], logits: Tensor, sampling: Sampling
) -> Iterator[Text]:
    """Add the next token to each text in a ``taken`` seat; yield those that end, freeing seats."""
    texts = [text for slot in taken if (text := seats[slot]) is not None]
    drawn = draw(
        logits, [text.generator for text in texts], sampling.temperature, sampling.top_p
    ).unsqueeze(1)
    log_probs = logits.gather(1, drawn).squeeze(1) - logits.logsumexp(-1)
    for slot, text, token, log_prob in zip(
        taken, texts, drawn.squeeze(1).tolist(), log_probs.tolist(), strict=True
    ):
        text.tokens.append(token)
        text.log_probs.append(log_prob)
        if token == sampling.end or len(text.tokens) == sampling.max_new_tokens:
            seats[slot] = None
            yield text
