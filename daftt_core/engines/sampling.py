"""Drawing next tokens, each row by its own generator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["draw"]

# Sorting a whole vocabulary at each step costs as much as the model does; hardly a nucleus holds
# more than a few hundred tokens.
_NUCLEUS_GUESSES = (256, 4096)


def draw(
    logits: Tensor, generators: Sequence[np.random.Generator], temperature: float, top_p: float
) -> Tensor:
    """One token for each row, of shape [rows]: the inverse of the nucleus's CDF.

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
        some = probs[rows].topk(min(guess, probs.shape[1]), dim=-1)
        found = (some.values.sum(-1) >= top_p) | (guess >= probs.shape[1])
        drawn[rows[found]] = _invert(
            some.values[found], some.indices[found], uniform[rows[found]], top_p
        )
        rows = rows[~found]
        if not len(rows):
            break
    return drawn


def _invert(probs: Tensor, tokens: Tensor, uniform: Tensor, top_p: float) -> Tensor:
    """The tokens at which the nucleus's CDF reaches the uniform numbers.

    Args:
        probs: Of the most probable tokens, in falling order, of shape [rows, tokens].
        tokens: Whose they are.
        uniform: One for each row.
        top_p: The nucleus's share.
    """
    reached = probs.cumsum(-1)
    nucleus = reached - probs < top_p
    target = uniform * (probs * nucleus).sum(-1)
    place = (reached <= target.unsqueeze(1)).sum(-1, keepdim=True)
    return tokens.gather(1, place.clamp(max=tokens.shape[1] - 1)).squeeze(1)
