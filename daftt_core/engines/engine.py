"""The protocol every engine speaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daftt_core.errors import DafttError, ModelError, RemoteError
from daftt_core.tasks import Prompt


class PromptError(DafttError):
    """One prompt cannot be answered; the others of the same call may well be.

    Attributes:
        problem: Why, in a few words that are the same for all such prompts.
    """

    problem: str


class PromptTooLongError(PromptError, ModelError):
    """A prompt does not fit into the context that the server gives its model."""

    problem = "too long"


class PromptRefusedError(PromptError, RemoteError):
    """The server refuses a prompt, or fails at it, though it can be reached."""

    problem = "refused by the server"


@dataclass(frozen=True)
class Completion:
    """A text the model wrote.

    Attributes:
        text: The text without its end mark, or without what follows from a stop on.
        finished: Whether the model or a stop ended it, not the limit on its length.
        confidence: Geometric mean, in [0, 1], of the model's own probabilities (at temperature 1)
            of the tokens it wrote.
        solved: How many of the prompt's solved examples there was room for.
    """

    text: str
    finished: bool
    confidence: float
    solved: int = 0

    def __post_init__(self) -> None:
        """Refuse a confidence that is NaN or infinite, which no comparison could judge."""
        if not math.isfinite(self.confidence):
            raise ModelError(
                f"the teacher's probabilities are no numbers ({self.confidence}): its weights are "
                "damaged, or its training diverged; lower teacher_learning_rate"
            )


class Engine(Protocol):
    """Queries one causal language model. All prompts of a call share their prefix.

    A call may raise a :class:`PromptError`, and then answers none of its prompts.
    """

    def score(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> NDArray[np.float64]:
        """Return the log-probability of each answer after each prompt.

        Args:
            prompts: The prompts; their own answers are ignored.
            answers: Candidate answers, with their leading space.

        Returns:
            Natural logarithms, of shape [prompts, answers]: the sum over an answer's whole token
            sequence, including the end mark when one answer is the beginning of another. They are
            not normalized over the candidates.
        """
        ...

    def read(
        self, prompts: Sequence[Prompt], texts: Sequence[str], most_tokens: int
    ) -> NDArray[np.float64] | None:
        """Return the log-probability of each of many texts after each of few prompts.

        Args:
            prompts: The prompts; their own answers are ignored.
            texts: What may follow, with its leading space.
            most_tokens: Tokens that are read of a text, at most; as many after one prompt as after
                another.

        Returns:
            Natural logarithms, of shape [texts, prompts]: the sum over the tokens that were read,
            without an end mark. None if the engine cannot tell.
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
        stops: Sequence[str] = (),
    ) -> list[Completion]:
        """Sample one answer for each prompt.

        Args:
            prompts: The prompts.
            seeds: One for each prompt; it alone decides that prompt's draws.
            temperature: Divides the logits; 0 takes the most probable token.
            top_p: The draw is from the fewest tokens that hold this much probability.
            max_new_tokens: Greatest length of an answer.
            stops: Texts that end an answer, as the model's end mark does.
        """
        ...

    def share_shown(self, prompt: Prompt) -> float:
        """Return how much of a body the model was shown with the prompt's last query, in [0, 1].

        A body that is too long loses its end.
        """
        ...
