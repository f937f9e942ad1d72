"""Log-probabilities of given answers from a completions server, which was built to write.

Servers differ in what they tell. Two ways are known, both exact, and tried in this order:

1. *Echo* (vLLM, SGLang, llama-cpp-python with ``logits_all``): the prompt and the answer are sent
   together, with ``echo`` and ``logprobs``; the answer's tokens are those at the end of the echo.
2. *Forced tokens* (llama.cpp's own server, which cannot echo): the answer is cut into tokens by
   ``/tokenize``; each token is asked for in turn. A token that is not among the most probable ones
   listed is forced by ``logit_bias``, and its log-probability is read, which llama.cpp states as it
   was before the bias.

The answers to be scored, as a tree: what they begin with in common is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from daftt_core.engines.completions_api import CompletionsApi
from daftt_core.engines.engine import PromptRefusedError
from daftt_core.engines.server_answers import Completions, LogProbs, Step, Tokens
from daftt_core.errors import ModelError, RemoteError


@dataclass(frozen=True)
class AnswerTree:
    """All answers' tokens but their last ones, which need not be read to be predicted.

    *Places* are where a next token is predicted: place 0 is the prompt's end, place n is the nth
    node.

    Attributes:
        tokens: The token of each node, parents before their children.
        parents: The place before each node.
        depths: How many tokens after the prompt's end each node is, from 1.
        steps: For each answer, the place and the wanted token of each of its steps.
    """

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    steps: list[list[tuple[int, int]]]

    def sight(self) -> Tensor:
        """Which node sees which: itself and those it comes after; of shape [nodes, nodes]."""
        sees = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent:
                sees[node] |= sees[parent - 1]
        return sees


def plant(answers: Sequence[Sequence[int]]) -> AnswerTree:
    """The tree of some answers.

    Args:
        answers: Each answer's tokens, at least one.
    """
    tree = AnswerTree([], [], [], [])
    places: dict[tuple[int, ...], int] = {(): 0}
    for answer in answers:
        steps = []
        for length, token in enumerate(answer):
            read = tuple(answer[:length])
            if read not in places:
                tree.tokens.append(read[-1])
                tree.parents.append(places[read[:-1]])
                tree.depths.append(length)
                places[read] = len(tree.tokens)
            steps.append((places[read], token))
        tree.steps.append(steps)
    return tree


_LISTED = 50
_FORCE = 100.0


class AnswerScores(Protocol):
    """One way to score answers."""

    def score(self, prompt: str) -> list[float]:
        """Log-probability of each answer after a prompt."""
        ...


def find_way(api: CompletionsApi, model: str, answers: Sequence[str]) -> AnswerScores:
    """The way that this server offers.

    Args:
        api: The server.
        model: The model's name.
        answers: What will be scored.

    Raises:
        ModelError: The server offers none.
        RemoteError: The server cannot be used.
    """
    trouble: RemoteError | None = None
    for way in (_Echo(api, model, answers), _Forced(api, model, answers)):
        try:
            if way.works():
                return way
        except (ModelError, PromptRefusedError):  # an older llama.cpp refuses to echo
            continue
        except RemoteError as error:
            trouble = trouble or error
    raise trouble or ModelError(
        f"the model's server at {api.root} does not give log-probabilities of given answers; use "
        "one that echoes a prompt with its log-probabilities (vLLM, SGLang), or llama.cpp's server"
    )


class _Echo:
    def __init__(self, api: CompletionsApi, model: str, answers: Sequence[str]) -> None:
        self._api = api
        self._model = model
        self._answers = answers

    def works(self) -> bool:
        tokens, _ = self._echo("The sky is blue")
        return "".join(tokens).endswith("blue")

    def score(self, prompt: str) -> list[float]:
        return [self._score(prompt, answer) for answer in self._answers]

    def _score(self, prompt: str, answer: str) -> float:
        tokens, log_probs = self._echo(prompt + answer)
        text = ""
        for at in range(len(tokens) - 1, 0, -1):
            text = tokens[at] + text
            if text == answer:
                return sum(_told(self._api, value) for value in log_probs[at:])
        raise ModelError(
            f"the model's server at {self._api.root} cuts the prompt so that the answer {answer!r} "
            f"does not begin with a token of its own (its tokens end with {tokens[-5:]}); choose "
            "another verbalizer"
        )

    def _echo(self, text: str) -> tuple[Sequence[str], Sequence[float | None]]:
        """The tokens of a text and their log-probabilities; nothing where there is no echo.

        The first token has no log-probability.
        """
        answer = self._api.post(
            "/v1/completions",
            {
                "model": self._model,
                "prompt": text,
                "echo": True,
                "logprobs": 1,
                "max_tokens": 1,  # none at all would mean endless to some servers
                "temperature": 0,
            },
            Completions,
        )
        log_probs = answer.choices[0].logprobs or LogProbs()
        if answer.usage is None or answer.usage.completion_tokens is None:
            return [], []
        end = max(0, len(log_probs.tokens or ()) - answer.usage.completion_tokens)
        return (log_probs.tokens or ())[:end], (log_probs.token_logprobs or ())[:end]


class _Forced:
    def __init__(self, api: CompletionsApi, model: str, answers: Sequence[str]) -> None:
        self._api = api
        self._model = model
        self._answers = answers
        self._tree = AnswerTree([], [], [], [])

    def works(self) -> bool:
        self._tree = plant([self._tokens(answer) for answer in self._answers])
        return self._next(["The sky is"], None).id is not None

    def score(self, prompt: str) -> list[float]:
        wanted: dict[int, set[int]] = {}
        for place, token in (step for steps in self._tree.steps for step in steps):
            wanted.setdefault(place, set()).add(token)
        known = {place: self._after(prompt, place, tokens) for place, tokens in wanted.items()}
        return [sum(known[place][token] for place, token in steps) for steps in self._tree.steps]

    def _after(self, prompt: str, place: int, wanted: set[int]) -> dict[int, float]:
        """Log-probabilities of the wanted tokens at a place of the tree."""
        read: list[str | int] = [prompt, *self._path(place)]
        listed = self._next(read, None)
        found = {token.id: token.logprob for token in listed.top_logprobs or ()}
        for token in wanted - found.keys():
            forced = self._next(read, token)
            if forced.id != token:
                raise ModelError(
                    f"the model's server at {self._api.root} was told to write token {token} and "
                    f"wrote {forced.id}; it does not heed logit_bias"
                )
            found[token] = forced.logprob
        return {token: found[token] for token in wanted}

    def _path(self, place: int) -> list[int]:
        """The tokens from the prompt's end to a place."""
        path: list[int] = []
        while place:
            path.insert(0, self._tree.tokens[place - 1])
            place = self._tree.parents[place - 1]
        return path

    def _tokens(self, answer: str) -> list[int]:
        body = {"content": answer, "add_special": False, "parse_special": False}
        return list(self._api.post("/tokenize", body, Tokens).tokens)

    def _next(self, read: list[str | int], forced: int | None) -> Step:
        answer = self._api.post(
            "/v1/completions",
            {
                "model": self._model,
                "prompt": read if len(read) > 1 else read[0],
                "logprobs": _LISTED if forced is None else 1,
                "logit_bias": [] if forced is None else [[forced, _FORCE]],
                "max_tokens": 1,
                "temperature": 0,
            },
            Completions,
        )
        log_probs = answer.choices[0].logprobs
        if log_probs is None or not log_probs.content:
            raise _untold(self._api)
        return log_probs.content[0]


def _told(api: CompletionsApi, log_prob: float | None) -> float:
    if log_prob is None:
        raise _untold(api)
    return log_prob


def _untold(api: CompletionsApi) -> ModelError:
    return ModelError(
        f"the model's server at {api.root} leaves out the log-probability of a token of an answer"
    )
