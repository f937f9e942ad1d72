"""Drawing next tokens, each row by its own generator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["draw"]

_NUCLEUS_GUESS = 4096


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
    probs, tokens = _most_probable((logits / temperature).softmax(-1), top_p)
    reached = probs.cumsum(-1)
    nucleus = reached - probs < top_p
    uniform = torch.tensor([generator.random() for generator in generators])
    target = uniform.to(probs) * (probs * nucleus).sum(-1)
    place = (reached <= target.unsqueeze(1)).sum(-1, keepdim=True)
    return tokens.gather(1, place.clamp(max=tokens.shape[1] - 1)).squeeze(1)


def _most_probable(probs: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Probabilities, most probable first, and their tokens; as many as the nucleus needs.

    Sorting a whole vocabulary at each step costs more than the model does, and a nucleus hardly
    ever holds more than a few thousand tokens.
    """
    some = probs.topk(min(_NUCLEUS_GUESS, probs.shape[1]), dim=-1)
    if bool((some.values.sum(-1) >= top_p).all()):
        return some.values, some.indices
    return probs.sort(-1, descending=True)
