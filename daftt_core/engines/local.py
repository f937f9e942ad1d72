"""The model in this process, through transformers."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from daftt_core.engines.encoding import encode
from daftt_core.engines.engine import Completion
from daftt_core.tasks import Prompt

__all__ = ["LocalEngine"]

_NUCLEUS_GUESS = 4096


@dataclass(frozen=True)
class _Batch:
    """Prompts padded on the left of their bodies, their shared prefix already in the cache.

    Attributes:
        rows: Which of the caller's prompts these are.
        prefix: Tokens of the shared prefix.
        ids: Tokens of the bodies, of shape [rows, width].
        mask: 1 for real tokens, of shape [rows, prefix + width].
        positions: Position of each token of ``ids``, of the same shape.
        cache: Keys and values of the prefix, for each row.
    """

    rows: list[int]
    prefix: list[int]
    ids: Tensor
    mask: Tensor
    positions: Tensor
    cache: DynamicCache


class LocalEngine:
    """Asks a causal language model that is loaded in this process.

    The prefix that prompts share is computed once and its cache is copied to each batch. Prompts
    of like length share a batch.

    Args:
        model: The model; it is set to evaluation mode.
        tokenizer: Its tokenizer, with a padding token.
        batch_size: Prompts in one forward pass.
        max_length: Tokens of prompt and answer together, at most.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_size: int,
        max_length: int,
    ) -> None:
        torch.nn.Module.eval(model)
        self._model: Any = model  # its methods come and go with its class
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._max_length = max_length
        self._known_prefix: tuple[list[int], DynamicCache] | None = None

    @torch.inference_mode()
    def score(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> NDArray[np.float64]:
        """See :meth:`Engine.score`."""
        candidates = self._answer_tokens(answers)
        scores = np.empty((len(prompts), len(answers)))
        for batch in self._batches(prompts, reserve=max(map(len, candidates))):
            output = self._model(
                input_ids=batch.ids,
                attention_mask=batch.mask,
                position_ids=batch.positions,
                past_key_values=batch.cache,
                logits_to_keep=1,
            )
            first = output.logits[:, -1].log_softmax(-1)
            for column, tokens in enumerate(candidates):
                total = first[:, tokens[0]]
                if len(tokens) > 1:
                    total = total + self._score_rest(batch, tokens)
                scores[batch.rows, column] = total.double().cpu().numpy()
        return scores

    @torch.inference_mode()
    def write(
        self,
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        *,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
    ) -> list[Completion]:
        """See :meth:`Engine.write`."""
        completions: dict[int, Completion] = {}
        for batch in self._batches(prompts, reserve=max_new_tokens):
            prefix = torch.tensor([batch.prefix] * len(batch.rows), device=batch.ids.device)
            whole = torch.cat([prefix, batch.ids], dim=1)
            draw = _SeededDraw([seeds[row] for row in batch.rows], temperature, top_p)
            written = self._model.generate(
                input_ids=whole,
                attention_mask=batch.mask,
                past_key_values=batch.cache,
                logits_processor=LogitsProcessorList([draw]),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=self._tokenizer.eos_token_id,
                pad_token_id=self._tokenizer.pad_token_id,
            )
            answers = written[:, whole.shape[1] :].tolist()
            for row, tokens, log_probs in zip(batch.rows, answers, draw.log_probs(), strict=True):
                completions[row] = self._completion(tokens, log_probs)
        return [completions[row] for row in range(len(prompts))]

    def _completion(self, tokens: list[int], log_probs: list[float]) -> Completion:
        eos = self._tokenizer.eos_token_id
        finished = eos in tokens
        length = tokens.index(eos) if finished else len(tokens)
        return Completion(
            text=str(self._tokenizer.decode(tokens[:length])),
            finished=finished,
            confidence=math.exp(statistics.fmean(log_probs[: length + finished])),
        )

    def _answer_tokens(self, answers: Sequence[str]) -> list[list[int]]:
        tokens = [list(self._tokenizer(a, add_special_tokens=False).input_ids) for a in answers]
        nested = any(
            one is not other and other[: len(one)] == one for one in tokens for other in tokens
        )
        return [[*t, self._tokenizer.eos_token_id] for t in tokens] if nested else tokens

    def _batches(self, prompts: Sequence[Prompt], reserve: int) -> Iterator[_Batch]:
        asked = [replace(prompt, answer=None) for prompt in prompts]
        encoded = [encode(p, self._tokenizer, self._max_length, reserve) for p in asked]
        order = sorted(range(len(prompts)), key=lambda row: len(encoded[row].rest))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            bodies = [encoded[row].rest for row in rows]
            yield self._batch(rows, encoded[rows[0]].prefix, bodies)

    def _batch(self, rows: list[int], prefix: list[int], bodies: list[list[int]]) -> _Batch:
        width = max(map(len, bodies))
        padding = self._tokenizer.pad_token_id
        ids = torch.tensor([[padding] * (width - len(b)) + b for b in bodies])
        real = torch.tensor([[0] * (width - len(b)) + [1] * len(b) for b in bodies])
        before = torch.ones(len(bodies), len(prefix), dtype=real.dtype)
        device = self._model.device
        return _Batch(
            rows=rows,
            prefix=prefix,
            ids=ids.to(device),
            mask=torch.cat([before, real], dim=1).to(device),
            positions=(len(prefix) + real.cumsum(1) - 1).clamp(min=0).to(device),
            cache=self._prefix_cache(prefix, len(rows)),
        )

    def _prefix_cache(self, prefix: list[int], rows: int) -> DynamicCache:
        if self._known_prefix is None or self._known_prefix[0] != prefix:
            ids = torch.tensor([prefix], device=self._model.device)
            output = self._model(input_ids=ids, logits_to_keep=1, use_cache=True)
            self._known_prefix = prefix, output.past_key_values
        cache = copy.deepcopy(self._known_prefix[1])
        cache.batch_repeat_interleave(rows)
        return cache

    def _score_rest(self, batch: _Batch, tokens: list[int]) -> Tensor:
        """Log-probability of an answer's second and later tokens, of shape [rows]."""
        rows = len(batch.rows)
        steps = torch.arange(1, len(tokens), device=batch.ids.device)
        given = torch.tensor([tokens[:-1]] * rows, device=batch.ids.device)
        output = self._model(
            input_ids=given,
            attention_mask=torch.cat([batch.mask, torch.ones_like(given)], dim=1),
            position_ids=batch.positions[:, -1:] + steps,
            past_key_values=batch.cache,
        )
        batch.cache.crop(1 - len(tokens))
        wanted = torch.tensor([tokens[1:]] * rows, device=batch.ids.device)
        log_probs: Tensor = output.logits.log_softmax(-1)
        return log_probs.gather(2, wanted.unsqueeze(2)).squeeze(2).sum(1)


class _SeededDraw(LogitsProcessor):
    """Draws the next token of each row by that row's own generator, and leaves only it possible.

    Greedy decoding then takes the drawn token, so a row's text depends on its seed and its prompt
    and not on the rows beside it.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = top_p
        self._log_probs: list[Tensor] = []

    def log_probs(self) -> list[list[float]]:
        """Log-probability at temperature 1 of each row's token at each step."""
        return [list(row) for row in torch.stack(self._log_probs, dim=1).tolist()]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        drawn = scores.argmax(-1, keepdim=True) if self._temperature == 0 else self._draw(scores)
        self._log_probs.append(scores.log_softmax(-1).gather(1, drawn).squeeze(1))
        return torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)

    def _draw(self, scores: Tensor) -> Tensor:
        """One token for each row, of shape [rows, 1]: the inverse of the nucleus's CDF."""
        probs, tokens = self._most_probable((scores / self._temperature).softmax(-1))
        reached = probs.cumsum(-1)
        nucleus = reached - probs < self._top_p
        uniform = torch.tensor([generator.random() for generator in self._generators])
        target = uniform.to(probs) * (probs * nucleus).sum(-1)
        place = (reached <= target.unsqueeze(1)).sum(-1, keepdim=True)
        return tokens.gather(1, place.clamp(max=tokens.shape[1] - 1))

    def _most_probable(self, probs: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities, most probable first, and their tokens; as many as the nucleus needs.

        Sorting a whole vocabulary at each step costs more than the model does, and a nucleus
        hardly ever holds more than a few thousand tokens.
        """
        some = probs.topk(min(_NUCLEUS_GUESS, probs.shape[1]), dim=-1)
        if bool((some.values.sum(-1) >= self._top_p).all()):
            return some.values, some.indices
        return probs.sort(-1, descending=True)
