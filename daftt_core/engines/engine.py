"""The protocol every engine speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daftt_core.tasks import Prompt

__all__ = ["Completion", "Engine"]


@dataclass(frozen=True)
class Completion:
    """A text the model wrote.

    Attributes:
        text: The text without its end mark.
        finished: Whether the model ended it, rather than the limit on its length.
        confidence: Geometric mean, in [0, 1], of the model's own probabilities (at temperature 1)
            of the tokens it wrote.
        shown: How many of the prompt's solved examples there was room for.
    """

    text: str
    finished: bool
    confidence: float
    shown: int = 0


class Engine(Protocol):
    """Asks one causal language model. All prompts of a call share their prefix."""

    def score(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> NDArray[np.float64]:
        """Log-probability of each answer after each prompt.

        Args:
            prompts: What is asked; their own answers are ignored.
            answers: Candidate answers, with their leading space.

        Returns:
            Natural logarithms, of shape [prompts, answers]: the sum over an answer's whole token
            sequence, including the end mark when one answer is the beginning of another. They are
            not normalized over the candidates.
        """
        ...

    def write(
        self,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        *,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
    ) -> list[Completion]:
        """Sample one answer for each prompt.

        Args:
            prompts: What is asked.
            seeds: One for each prompt; it alone decides that prompt's draws.
            temperature: Divides the logits; 0 takes the most probable token.
            top_p: The draw is from the fewest tokens that hold this much probability.
            max_new_tokens: Greatest length of an answer.
        """
        ...
