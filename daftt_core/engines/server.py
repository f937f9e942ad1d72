"""A model behind an OpenAI-compatible completions server (vLLM, SGLang, llama.cpp and others)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from itertools import permutations
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from daftt_core.engines.answer_scores import AnswerScores, TextScores, find_way
from daftt_core.engines.completions_api import CompletionsApi
from daftt_core.engines.engine import Completion, PromptError, PromptTooLongError
from daftt_core.engines.server_answers import Completions
from daftt_core.errors import TaskError
from daftt_core.tasks import Prompt
from daftt_core.telemetry import log

_LEAST_BODY = 40
_SEED_BITS = 31

T = TypeVar("T")
U = TypeVar("U")


class ServerEngine:
    """Queries a model through HTTP, several prompts at a time.

    The server gets a prompt's seed. With the same server, version, machine and settings it then
    writes the same text again as long as its arithmetic does not depend on its other work:
    llama.cpp with one slot ensures that; others batch requests as they come, which changes the last
    digits of the logits and now and then a token. The local engine has no such exception.

    A prompt that is too long for the server loses its last solved examples, and then its body's
    end.

    Args:
        api: The server.
        model: The model's name on it.
        concurrency: Prompts at the same time.
    """

    def __init__(self, api: CompletionsApi, model: str, concurrency: int) -> None:
        self._api = api
        self._model = model
        self._concurrency = concurrency
        self._ways: dict[tuple[str, ...], AnswerScores] = {}
        self._texts = TextScores(api, model)
        self._reads: bool | None = None  # not known yet
        self._refused: dict[tuple[object, ...], PromptError] = {}
        self._shown: dict[Prompt, float] = {}  # of prompts that were cut

    def score(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> NDArray[np.float64]:
        """See :meth:`Engine.score`.

        Raises:
            TaskError: One answer is the beginning of another: a server does not return the
                probability that a text ends.
            ModelError: The server cannot score given answers.
            PromptError: The server does not answer one of the prompts.
            RemoteError: The server cannot be reached, or refuses.
        """
        _refuse_nested(answers)
        key = tuple(answers)
        if key not in self._ways:
            self._ways[key] = find_way(self._api, self._model, answers)
        way = self._ways[key]
        rows = self._map(lambda prompt: self._query(prompt, key, way.score)[0], prompts)
        return np.array(rows, dtype=np.float64).reshape(len(prompts), len(answers))

    def read(
        self, prompts: Sequence[Prompt], texts: Sequence[str], most_tokens: int
    ) -> NDArray[np.float64] | None:
        """See :meth:`Engine.read`.

        Raises:
            PromptError: The server does not answer one of the requests.
            RemoteError: The server cannot be reached, or refuses.
        """
        if self._reads is None:
            self._reads = self._texts.works()
        if not self._reads:
            return None
        asking = [self._texts.tokens_of(p.asking(len(p.solved)), special=True) for p in prompts]

        def read_text(text: str) -> list[float]:
            tokens = self._texts.tokens_of(text)[:most_tokens]
            return [self._texts.score(prompt, tokens) for prompt in asking]

        return np.array(self._map(read_text, texts), dtype=np.float64)

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
        """See :meth:`Engine.write`.

        Raises:
            PromptError: The server does not answer one of the prompts.
            ModelError: The server has no such model.
            RemoteError: The server cannot be reached, or refuses.
        """
        settings = {
            "model": self._model,
            "max_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "logprobs": 1,
            "stop": list(stops),
        }

        def write_text(request: tuple[Prompt, int]) -> Completion:
            prompt, seed = request
            body = {**settings, "seed": seed % 2**_SEED_BITS}
            completion, solved = self._query(prompt, (seed,), lambda text: self._write(text, body))
            return replace(completion, solved=solved)

        return self._map(write_text, list(zip(prompts, seeds, strict=True)))

    def _write(self, prompt: str, settings: dict[str, Any]) -> Completion:
        body = {**settings, "prompt": prompt}
        choice = self._api.post("/v1/completions", body, Completions).choices[0]
        log_probs = choice.logprobs.written() if choice.logprobs else []
        return Completion(
            text=choice.text,
            finished=choice.finish_reason == "stop",
            confidence=math.exp(statistics.fmean(log_probs)) if log_probs else 0.0,
        )

    def share_shown(self, prompt: Prompt) -> float:
        """See :meth:`Engine.share_shown`."""
        return self._shown.get(prompt, 1.0)

    def _query(
        self, prompt: Prompt, variant: tuple[object, ...], send: Callable[[str], T]
    ) -> tuple[T, int]:
        """Return the answer, and how many of the prompt's solved examples were sent.

        A query that the server did not answer is not sent a second time.
        """
        if error := self._refused.get((prompt, *variant)):
            raise error
        try:
            return self._cut_to_fit(prompt, send)
        except PromptError as error:
            self._refused[prompt, *variant] = error
            raise

    def _cut_to_fit(self, prompt: Prompt, send: Callable[[str], T]) -> tuple[T, int]:
        solved, body = len(prompt.solved), prompt.body
        while True:
            try:
                return send(replace(prompt, body=body).asking(solved)), solved
            except PromptTooLongError:
                if solved:
                    solved -= 1
                    continue
                if len(body) < _LEAST_BODY:
                    raise
                body = body[: len(body) * 3 // 4]
                self._shown[prompt] = len(body) / len(prompt.body)
                log.info("an input is too long for the server and loses its end")

    def _map(self, work: Callable[[U], T], items: Sequence[U]) -> list[T]:
        pool = ThreadPoolExecutor(self._concurrency)
        try:
            contexts = [copy_context() for _ in items]  # tokens count as the stage's
            return list(pool.map(lambda context, item: context.run(work, item), contexts, items))
        finally:
            pool.shutdown(cancel_futures=True)


def _refuse_nested(answers: Sequence[str]) -> None:
    for answer, longer in permutations(answers, 2):
        if longer.startswith(answer):
            raise TaskError(
                f"labels: the verbalizer {answer.strip()!r} is the beginning of "
                f"{longer.strip()!r}, which a server cannot tell apart; change one of them, or set "
                "synthesis_engine=local"
            )
