"""Log-probabilities of given answers from a completions server, which was built to write.

Servers differ in what they return. Four ways are known, all exact, and tried in this order:

1. *Chosen tokens* (vLLM since July 2026): the answers are cut into tokens by ``/tokenize``; a
   request with ``logprob_token_ids`` returns the log-probabilities of exactly those tokens.
2. *Scored tokens* (SGLang): the same with ``/v1/score``, which returns probabilities.
3. *Echo* (older vLLM, llama-cpp-python with ``logits_all``): the prompt and an answer are sent
   together, with ``echo`` and ``logprobs``; the answer's tokens are those at the end of the echo.
   It takes a request for each answer, and log-probabilities of the prompt turn off vLLM's prefix
   cache (``SamplingParams.skip_reading_prefix_cache``).
4. *Forced tokens* (llama.cpp's own server, which cannot echo): each token is requested in turn. A
   token that is not among the most probable ones listed is forced by ``logit_bias``, and its
   log-probability is read, which llama.cpp states as it was before the bias.

The first two take one request for a prompt, whatever the number of answers, if each answer is one
token; for longer ones the prompt is cut into tokens by a request of its own, and what the answers
begin with is sent along with it.

vLLM's ``/generative_scoring`` is not used: it returns the score of the first token only, so that it
takes a request for each answer, and it shortens a prompt that is too long without a word.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Mapping, Sequence

from daftt_core.engines.completions_api import CompletionsApi
from daftt_core.engines.encoding import AnswerTree
from daftt_core.engines.engine import PromptRefusedError
from daftt_core.engines.server_answers import (
    ChosenTokens,
    Completions,
    LogProbs,
    Scores,
    Step,
    Tokens,
)
from daftt_core.errors import ModelError, RemoteError
from daftt_core.telemetry import log

_PROBE = "The sky is"
_LISTED = 50
_FORCE = 100.0
_MOST_CHOSEN = 128
"""Tokens that one request may choose: vLLM's ``MAX_LOGPROB_TOKEN_IDS``."""


def find_way(api: CompletionsApi, model: str, answers: Sequence[str]) -> AnswerScores:
    """Return the way that this server offers to score answers.

    Raises:
        ModelError: The server offers none.
        RemoteError: The server cannot be used.
    """
    error: RemoteError | None = None
    tree: AnswerTree | None = None
    try:
        tree = AnswerTree.of([_tokens(api, model, answer) for answer in answers])
    except (ModelError, PromptRefusedError):
        log.debug("the server at %s cuts no text into tokens", api.root)
    except RemoteError as problem:
        error = problem
    for way in _ways(api, model, answers, tree):
        try:
            if way.works():
                log.info("%s scores answers by %s", api.root, way.name)
                return way
        except (ModelError, PromptRefusedError):  # an older llama.cpp refuses to echo
            continue
        except RemoteError as problem:
            error = problem
    raise error or ModelError(
        f"the model's server at {api.root} does not give log-probabilities of given answers; use "
        "vLLM, SGLang, llama.cpp's server, or one that echoes a prompt with its log-probabilities"
    )


def _ways(
    api: CompletionsApi, model: str, answers: Sequence[str], tree: AnswerTree | None
) -> list[AnswerScores]:
    """Return the ways to try; those that name tokens only with the ``tree`` of the answers'."""
    echo = _Echo(api, model, answers)
    if tree is None:
        return [echo]
    return [_Chosen(api, model, tree), _Scored(api, model, tree), echo, _Forced(api, model, tree)]


def _tokens(api: CompletionsApi, model: str, text: str, *, special: bool = False) -> list[int]:
    """Return a text's tokens, with those that the model expects around it if ``special``.

    The fields are those of vLLM and SGLang, and then of llama.cpp; each ignores the others'.
    """
    body = {
        "model": model,
        "prompt": text,
        "add_special_tokens": special,
        "content": text,
        "add_special": special,
        "parse_special": False,
    }
    return list(api.post("/tokenize", body, Tokens).tokens)


class AnswerScores(ABC):
    """One way to score answers.

    Attributes:
        name: The way in words.
    """

    name: str

    def __init__(self, api: CompletionsApi, model: str) -> None:
        self._api = api
        self._model = model

    @abstractmethod
    def works(self) -> bool:
        """Return whether the server offers this way."""

    @abstractmethod
    def score(self, prompt: str) -> list[float]:
        """Return the log-probability of each answer after a prompt."""

    def _completion(self, prompt: object, **options: object) -> dict[str, object]:
        """Return the body of a request for one token after a prompt."""
        return {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": 1,  # none at all would mean endless to some servers
            "temperature": 0,
            **options,
        }

    def _complete(self, prompt: str | list[str | int], **options: object) -> Completions:
        body = self._completion(prompt, **options)
        return self._api.post("/v1/completions", body, Completions)

    def _missing_log_prob(self) -> ModelError:
        return ModelError(
            f"the model's server at {self._api.root} leaves out the log-probability of a token of "
            "an answer"
        )


class _ByTokens(AnswerScores):
    """A way that names the tokens of the answers.

    Args:
        api: The server.
        model: The model's name on it.
        tree: The answers' tokens.
    """

    def __init__(self, api: CompletionsApi, model: str, tree: AnswerTree) -> None:
        super().__init__(api, model)
        self._tree = tree
        self._paths: list[list[int]] = [[]]  # what of an answer is read before each place
        for token, parent in zip(tree.tokens, tree.parents, strict=True):
            self._paths.append([*self._paths[parent], token])
        self._needed: list[set[int]] = [set() for _ in self._paths]  # tokens asked about there
        for place, token in (step for steps in tree.steps for step in steps):
            self._needed[place].add(token)
        self._tokens = sorted(set().union(*self._needed))

    def score(self, prompt: str) -> list[float]:
        known = self._after(prompt)
        try:
            return [
                sum(known[place][token] for place, token in steps) for steps in self._tree.steps
            ]
        except KeyError:
            raise self._missing_log_prob() from None

    @abstractmethod
    def _after(self, prompt: str) -> Sequence[Mapping[int, float]]:
        """Return the log-probabilities of the needed tokens, for each place of the tree."""


class _AtOnce(_ByTokens):
    """A way that asks about all places of the tree together."""

    def works(self) -> bool:
        known = self._after(_PROBE)
        return all(
            needed <= at_place.keys() for needed, at_place in zip(self._needed, known, strict=True)
        )

    def _after(self, prompt: str) -> Sequence[Mapping[int, float]]:
        texts: list[str] | list[list[int]] = [prompt]
        if len(self._paths) > 1:
            tokens = _tokens(self._api, self._model, prompt, special=True)
            texts = [[*tokens, *path] for path in self._paths]
        known = self._ask(texts, self._tokens)
        if len(known) != len(texts):
            raise self._missing_log_prob()
        return known

    @abstractmethod
    def _ask(
        self, texts: list[str] | list[list[int]], tokens: list[int]
    ) -> Sequence[Mapping[int, float]]:
        """Return the log-probabilities of tokens after each text, as far as they are stated."""


class _Chosen(_AtOnce):
    name = "their tokens (logprob_token_ids)"

    def _ask(
        self, texts: list[str] | list[list[int]], tokens: list[int]
    ) -> Sequence[Mapping[int, float]]:
        parts = [
            self._choose(texts, tokens[start : start + _MOST_CHOSEN])
            for start in range(0, len(tokens), _MOST_CHOSEN)
        ]
        return [ChainMap(*at_place) for at_place in zip(*parts, strict=True)]

    def _choose(
        self, texts: list[str] | list[list[int]], tokens: list[int]
    ) -> list[dict[int, float]]:
        body = self._completion(
            texts if len(texts) > 1 else texts[0],
            logprobs=1,  # without it there are none at all
            logprob_token_ids=tokens,
            return_tokens_as_token_ids=True,
        )
        answer = self._api.post("/v1/completions", body, ChosenTokens)
        return [choice.log_probs() for choice in answer.choices]


class _Scored(_AtOnce):
    name = "their tokens (/v1/score)"

    def works(self) -> bool:
        """See :meth:`AnswerScores.works`.

        A server that was started with ``--multi-item-scoring-delimiter`` reads that token too, so
        that it would score other texts than those sent.
        """
        read = _tokens(self._api, self._model, _PROBE, special=True)
        usage = self._post([read], self._tokens).usage
        return (usage is None or usage.prompt_tokens in (None, len(read))) and super().works()

    def _ask(
        self, texts: list[str] | list[list[int]], tokens: list[int]
    ) -> Sequence[Mapping[int, float]]:
        return [
            {
                token: math.log(prob) if prob else -math.inf
                for token, prob in zip(tokens, row, strict=False)
            }
            for row in self._post(texts, tokens).scores
        ]

    def _post(self, texts: list[str] | list[list[int]], tokens: list[int]) -> Scores:
        body = {
            "model": self._model,
            "query": "" if isinstance(texts[0], str) else [],  # of the items' kind
            "items": texts,
            "label_token_ids": tokens,
            "apply_softmax": False,
        }
        return self._api.post("/v1/score", body, Scores)


class _Echo(AnswerScores):
    name = "echoing them"

    def __init__(self, api: CompletionsApi, model: str, answers: Sequence[str]) -> None:
        super().__init__(api, model)
        self._answers = answers

    def works(self) -> bool:
        tokens, _ = self._echo(_PROBE + " blue")
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


class TextScores:
    """Log-probabilities of long texts after prompts, from a server that echoes chosen tokens.

    Prompt and text are cut into tokens by ``/tokenize`` and sent together; the text's tokens are
    the last of the echo. vLLM and SGLang do so; llama.cpp's server echoes nothing.
    """

    def __init__(self, api: CompletionsApi, model: str) -> None:
        self._api, self._model = api, model

    def works(self) -> bool:
        """Return whether the server offers this."""
        try:
            return math.isfinite(self.score(self.tokens_of(_PROBE), self.tokens_of(" blue")))
        except (ModelError, PromptRefusedError, RemoteError) as problem:
            log.debug("the server at %s does not echo tokens: %s", self._api.root, problem)
            return False

    def tokens_of(self, text: str, *, special: bool = False) -> list[int]:
        """Return a text's tokens, with those that the model expects around it if ``special``."""
        return _tokens(self._api, self._model, text, special=special)

    def score(self, prompt: Sequence[int], text: Sequence[int]) -> float:
        """Return the log-probability of a text's tokens after a prompt's.

        Raises:
            ModelError: The server leaves one of them out.
        """
        body = {
            "model": self._model,
            "prompt": [[*prompt, *text]],
            "max_tokens": 1,  # none at all would mean endless to some servers
            "temperature": 0,
            "echo": True,
            "logprobs": 1,
        }
        answer = self._api.post("/v1/completions", body, Completions)
        log_probs = answer.choices[0].logprobs or LogProbs()
        written = None if answer.usage is None else answer.usage.completion_tokens
        known = (log_probs.token_logprobs or ())[len(prompt) : len(prompt) + len(text)]
        echoed = len(log_probs.token_logprobs or ()) - (written or 0)
        if written is None or echoed != len(prompt) + len(text) or None in known:
            raise ModelError(
                f"the model's server at {self._api.root} leaves out the log-probability of a token "
                "of a text"
            )
        return sum(value for value in known if value is not None)


class _Forced(_ByTokens):
    name = "forcing their tokens"

    def works(self) -> bool:
        return self._next(_PROBE, None).id is not None

    def _after(self, prompt: str) -> Sequence[Mapping[int, float]]:
        return [
            self._at_place([prompt, *path] if path else prompt, tokens)
            for path, tokens in zip(self._paths, self._needed, strict=True)
        ]

    def _at_place(self, read: str | list[str | int], tokens: set[int]) -> dict[int, float]:
        """Return the log-probabilities of tokens after what was read."""
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
        return log_probs

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
