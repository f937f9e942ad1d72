"""Log-probabilities of given answers from a completions server, which was built to write.

Servers differ in what they return. Two ways are known, both exact, and tried in this order:

1. *Echo* (vLLM, SGLang, llama-cpp-python with ``logits_all``): the prompt and the answer are sent
   together, with ``echo`` and ``logprobs``; the answer's tokens are those at the end of the echo.
2. *Forced tokens* (llama.cpp's own server, which cannot echo): the answer is cut into tokens by
   ``/tokenize``; each token is requested in turn. A token that is not among the most probable ones
   listed is forced by ``logit_bias``, and its log-probability is read, which llama.cpp states as it
   was before the bias.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from daftt_core.engines.completions_api import CompletionsApi
from daftt_core.engines.encoding import AnswerTree
from daftt_core.engines.engine import PromptRefusedError
from daftt_core.engines.server_answers import Completions, LogProbs, Step, Tokens
from daftt_core.errors import ModelError, RemoteError

_LISTED = 50
_FORCE = 100.0


def find_way(api: CompletionsApi, model: str, answers: Sequence[str]) -> AnswerScores:
    """Return the way that this server offers to score answers.

    Raises:
        ModelError: The server offers none.
        RemoteError: The server cannot be used.
    """
    first_error: RemoteError | None = None
    for way in (_Echo(api, model, answers), _Forced(api, model, answers)):
        try:
            if way.works():
                return way
        except (ModelError, PromptRefusedError):  # an older llama.cpp refuses to echo
            continue
        except RemoteError as error:
            first_error = first_error or error
    raise first_error or ModelError(
        f"the model's server at {api.root} does not give log-probabilities of given answers; use "
        "one that echoes a prompt with its log-probabilities (vLLM, SGLang), or llama.cpp's server"
    )


class AnswerScores(ABC):
    """One way to score answers."""

    def __init__(self, api: CompletionsApi, model: str, answers: Sequence[str]) -> None:
        self._api = api
        self._model = model
        self._answers = answers

    @abstractmethod
    def works(self) -> bool:
        """Return whether the server offers this way."""

    @abstractmethod
    def score(self, prompt: str) -> list[float]:
        """Return the log-probability of each answer after a prompt."""

    def _complete(self, prompt: str | list[str | int], **options: object) -> Completions:
        body = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": 1,  # none at all would mean endless to some servers
            "temperature": 0,
            **options,
        }
        return self._api.post("/v1/completions", body, Completions)

    def _missing_log_prob(self) -> ModelError:
        return ModelError(
            f"the model's server at {self._api.root} leaves out the log-probability of a token of "
            "an answer"
        )


class _Echo(AnswerScores):
    def works(self) -> bool:
        tokens, _ = self._echo("The sky is blue")
        return "".join(tokens).endswith("blue")

    def score(self, prompt: str) -> list[float]:
        return [self._score(prompt, answer) for answer in self._answers]

    def _score(self, prompt: str, answer: str) -> float:
        tokens, log_probs = self._echo(prompt + answer)
        text = ""
        for start in range(len(tokens) - 1, 0, -1):
            text = tokens[start] + text
            if text == answer:
                known = [value for value in log_probs[start:] if value is not None]
                if len(known) < len(log_probs[start:]):
                    raise self._missing_log_prob()
                return sum(known)
        raise ModelError(
            f"the model's server at {self._api.root} cuts the prompt so that the answer {answer!r} "
            f"does not begin with a token of its own (its tokens end with {tokens[-5:]}); choose "
            "another verbalizer"
        )

    def _echo(self, text: str) -> tuple[Sequence[str], Sequence[float | None]]:
        """Return the tokens of a text and their log-probabilities; nothing where there is no echo.

        The first token has no log-probability.
        """
        answer = self._complete(text, echo=True, logprobs=1)
        log_probs = answer.choices[0].logprobs or LogProbs()
        if answer.usage is None or answer.usage.completion_tokens is None:
            return [], []
        end = max(0, len(log_probs.tokens or ()) - answer.usage.completion_tokens)
        return (log_probs.tokens or ())[:end], (log_probs.token_logprobs or ())[:end]


class _Forced(AnswerScores):
    _tree: AnswerTree

    def works(self) -> bool:
        self._tree = AnswerTree.of([self._tokens(answer) for answer in self._answers])
        return self._next("The sky is", None).id is not None

    def score(self, prompt: str) -> list[float]:
        needed: dict[int, set[int]] = {}
        for place, token in (step for steps in self._tree.steps for step in steps):
            needed.setdefault(place, set()).add(token)
        known = {place: self._after(prompt, place, tokens) for place, tokens in needed.items()}
        return [sum(known[place][token] for place, token in steps) for steps in self._tree.steps]

    def _after(self, prompt: str, place: int, tokens: set[int]) -> dict[int, float]:
        """Return the log-probabilities of tokens at a place of the tree."""
        path: list[int] = []
        ancestor = place
        while ancestor:
            path.insert(0, self._tree.tokens[ancestor - 1])
            ancestor = self._tree.parents[ancestor - 1]
        read: str | list[str | int] = [prompt, *path] if path else prompt
        listed = self._next(read, None)
        log_probs = {token.id: token.logprob for token in listed.top_logprobs or ()}
        for token in tokens - log_probs.keys():
            forced = self._next(read, token)
            if forced.id != token:
                raise ModelError(
                    f"the model's server at {self._api.root} was told to write token {token} and "
                    f"wrote {forced.id}; it ignores logit_bias"
                )
            log_probs[token] = forced.logprob
        return {token: log_probs[token] for token in tokens}

    def _tokens(self, answer: str) -> list[int]:
        body = {"content": answer, "add_special": False, "parse_special": False}
        return list(self._api.post("/tokenize", body, Tokens).tokens)

    def _next(self, read: str | list[str | int], forced: int | None) -> Step:
        answer = self._complete(
            read,
            logprobs=_LISTED if forced is None else 1,
            logit_bias=[] if forced is None else [[forced, _FORCE]],
        )
        log_probs = answer.choices[0].logprobs
        if log_probs is None or not log_probs.content:
            raise self._missing_log_prob()
        return log_probs.content[0]
