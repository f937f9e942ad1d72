"""Log-probabilities of given answers from a completions server, which was built to write.

Servers differ in what they tell. Two ways are known, both exact, and tried in this order:

1. *Echo* (vLLM, SGLang, llama-cpp-python with ``logits_all``): the prompt and the answer are sent
   together, with ``echo`` and ``logprobs``; the answer's tokens are those at the end of the echo.
2. *Forced tokens* (llama.cpp's own server, which cannot echo): the answer is cut into tokens by
   ``/tokenize``; each token is asked for in turn. A token that is not among the most probable ones
   listed is forced by ``logit_bias``, and its log-probability is read, which llama.cpp states as it
   was before the bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from daftt_core.engines.answers import AnswerTree, plant
from daftt_core.engines.completions_api import CompletionsApi
from daftt_core.errors import ModelError, RemoteError

__all__ = ["AnswerScores", "find_way"]

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
    """
    echo = _Echo(api, model, answers)
    if echo.works():
        return echo
    forced = _Forced(api, model, answers)
    if forced.works():
        return forced
    raise ModelError(
        f"the model's server at {api.root} does not give log-probabilities of given answers; use "
        "one that echoes a prompt with its log-probabilities (vLLM, SGLang), or llama.cpp's server"
    )


class _Echo:
    def __init__(self, api: CompletionsApi, model: str, answers: Sequence[str]) -> None:
        self._api = api
        self._model = model
        self._answers = answers

    def works(self) -> bool:
        try:
            tokens, _ = self._echo("The sky is blue")
        except RemoteError:  # an older llama.cpp refuses to echo
            return False
        return "".join(tokens).endswith("blue")

    def score(self, prompt: str) -> list[float]:
        return [self._score(prompt, answer) for answer in self._answers]

    def _score(self, prompt: str, answer: str) -> float:
        tokens, log_probs = self._echo(prompt + answer)
        text = ""
        for at in range(len(tokens) - 1, 0, -1):
            text = tokens[at] + text
            if text == answer:
                return sum(log_probs[at:])
        raise ModelError(
            f"the model's server at {self._api.root} cuts the prompt so that the answer {answer!r} "
            f"does not begin with a token of its own (its tokens end with {tokens[-5:]}); choose "
            "another verbalizer"
        )

    def _echo(self, text: str) -> tuple[list[str], list[float]]:
        """The tokens of a text and their log-probabilities; nothing where there is no echo."""
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
        )
        found = answer["choices"][0].get("logprobs") or {}
        written = int(answer["usage"]["completion_tokens"])
        end = len(found.get("tokens") or []) - written
        if end < 1:
            return [], []
        # the first token has no log-probability
        return found["tokens"][:end], [value or 0.0 for value in found["token_logprobs"][:end]]


class _Forced:
    def __init__(self, api: CompletionsApi, model: str, answers: Sequence[str]) -> None:
        self._api = api
        self._model = model
        self._answers = answers
        self._tree = AnswerTree([], [], [], [])

    def works(self) -> bool:
        try:
            self._tree = plant([self._tokens(answer) for answer in self._answers])
            step = self._next(["The sky is"], None)
        except (ModelError, RemoteError, KeyError, TypeError):
            return False
        return "id" in step

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
        found = {int(one["id"]): float(one["logprob"]) for one in listed["top_logprobs"]}
        for token in wanted - found.keys():
            forced = self._next(read, token)
            if forced["id"] != token:
                raise ModelError(
                    f"the model's server at {self._api.root} was told to write token {token} and "
                    f"wrote {forced['id']}; it does not heed logit_bias"
                )
            found[token] = float(forced["logprob"])
        return {token: found[token] for token in wanted}

    def _path(self, place: int) -> list[int]:
        """The tokens from the prompt's end to a place."""
        path: list[int] = []
        while place:
            path.insert(0, self._tree.tokens[place - 1])
            place = self._tree.parents[place - 1]
        return path

    def _tokens(self, answer: str) -> list[int]:
        asked = {"content": answer, "add_special": False, "parse_special": False}
        cut = self._api.post("/tokenize", asked)
        return list(cut["tokens"])

    def _next(self, read: list[str | int], forced: int | None) -> dict[str, Any]:
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
        )
        step: dict[str, Any] = answer["choices"][0]["logprobs"]["content"][0]
        return step
