"""The model in this process, through transformers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from daftt_core.engines.caches import prefix_cache, shared_by_rows
from daftt_core.engines.decoding import Sampling, Text, write_texts
from daftt_core.engines.encoding import AnswerTree, Encoded, encode_all
from daftt_core.engines.engine import Completion
from daftt_core.engines.prefix_attention import Joined, accept_joined_rows
from daftt_core.errors import ModelError
from daftt_core.modeling import pack_weights
from daftt_core.tasks import Prompt
from daftt_core.telemetry import count_tokens, log

_ALIBI = frozenset({"bloom", "mpt"})
_READ_TOKENS = 2048
"""Tokens of texts that are read in one forward pass, at most: each has a score for every token of
the vocabulary."""


class LocalEngine:
    """Queries a causal language model that is loaded in this process.

    The prefix that prompts share is computed once. Prompts of like length are scored together, all
    answers in one forward pass; texts are written side by side, each making room for the next. When
    memory runs out, batches are smaller from then on.

    Args:
        model: The model; it is set to evaluation mode and cannot be trained from now on.
        tokenizer: Its tokenizer, with a padding token.
        batch_size: Greatest number of sequences side by side.
        batch_tokens: Greatest number of tokens in one forward pass, padding included, and in the
            cache of all texts that are written side by side; a single sequence may be longer.
        max_length: Greatest length of prompt and answer together, in tokens.

    Raises:
        ModelError: The model tells positions by ALiBi, which allows no tokens side by side.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_size: int,
        max_length: int,
        batch_tokens: int = 8192,
    ) -> None:
        kind = model.config.model_type
        if kind in _ALIBI or getattr(model.config, "alibi", False):
            raise ModelError(
                f"a {kind} model cannot be queried in this process, because it tells positions by "
                "ALiBi; choose one with rotary or learned positions, such as Llama or GPT-NeoX, or "
                "serve it (synthesis_engine=server)"
            )
        torch.nn.Module.eval(model)
        pack_weights(model)
        self._joins_rows = accept_joined_rows(model)
        self._model: Any = model  # its methods come and go with its class
        self._tokenizer = tokenizer
        self._batch_size, self._batch_tokens = batch_size, batch_tokens
        self._max_length = max_length
        self._known_prefix: tuple[list[int], DynamicCache] | None = None
        self._shown: dict[Prompt, float] = {}  # of prompts that were cut

    @torch.inference_mode()
    def score(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> NDArray[np.float64]:
        """See :meth:`Engine.score`."""
        candidates = self._answer_tokens(answers)
        tree = AnswerTree.of(candidates)
        encoded = self._encode(prompts, reserve=max(map(len, candidates)))
        scores = np.empty((len(prompts), len(answers)))
        waiting = _longest_first(encoded)
        while waiting:
            width = len(encoded[waiting[0]].rest) + len(tree.tokens)
            rows = waiting[: self._rows(width)]
            try:
                scores[rows] = self._score(tree, [encoded[row] for row in rows])
            except (RuntimeError, MemoryError) as error:
                self._shrink(error, len(rows), width)
                continue
            prompt_tokens = sum(len(encoded[row].rest) for row in rows)
            count_tokens(read=prompt_tokens + len(rows) * len(tree.tokens))
            waiting = waiting[len(rows) :]
        return scores

    @torch.inference_mode()
    def read(
        self, prompts: Sequence[Prompt], texts: Sequence[str], most_tokens: int
    ) -> NDArray[np.float64]:
        """See :meth:`Engine.read`."""
        asking = self._encode(prompts, reserve=1)
        longest = max(len(prompt.prefix) + len(prompt.rest) for prompt in asking)
        room = min(most_tokens, self._max_length - longest)
        tokens = self._tokenizer(list(texts), add_special_tokens=False).input_ids
        pairs = [_Pair(prompt.rest, list(ids[:room])) for ids in tokens for prompt in asking]
        scores = np.empty(len(pairs))
        waiting = sorted(range(len(pairs)), key=lambda row: -pairs[row].width)
        while waiting:
            width = pairs[waiting[0]].width
            rows = waiting[: min(self._rows(width), max(1, _READ_TOKENS // width))]
            try:
                scores[rows] = self._read(asking[0].prefix, [pairs[row] for row in rows])
            except (RuntimeError, MemoryError) as error:
                self._shrink(error, len(rows), width)
                continue
            count_tokens(read=sum(pairs[row].width for row in rows))
            waiting = waiting[len(rows) :]
        return scores.reshape(len(texts), len(prompts))

    @torch.inference_mode()
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
        """See :meth:`Engine.write`."""
        encoded = self._encode(prompts, reserve=max_new_tokens)
        end: Any = self._tokenizer.eos_token_id
        sampling = Sampling(temperature, top_p, max_new_tokens, end)
        completions: dict[int, Completion] = {}
        while len(completions) < len(prompts):
            rows = [row for row in _longest_first(encoded) if row not in completions]
            first = encoded[rows[0]]
            width = len(first.prefix) + len(first.rest) + max_new_tokens
            slots = min(self._rows(width), len(rows))
            texts = [
                Text(row, encoded[row].rest, np.random.default_rng(seeds[row])) for row in rows
            ]
            try:
                prefix = self._prefix(first.prefix)
                for text in write_texts(self._model, prefix, texts, slots, sampling):
                    solved = encoded[text.row].solved
                    completions[text.row] = self._completion(text, solved, stops)
                    count_tokens(read=len(text.prompt), written=len(text.tokens))
            except (RuntimeError, MemoryError) as error:
                self._shrink(error, slots, width)
        return [completions[row] for row in range(len(prompts))]

    def share_shown(self, prompt: Prompt) -> float:
        """See :meth:`Engine.share_shown`."""
        return self._shown.get(replace(prompt, answer=None), 1.0)

    def _rows(self, width: int) -> int:
        """Return how many sequences of this many tokens go together; at least 1."""
        return max(1, min(self._batch_size, self._batch_tokens // width))

    def _shrink(self, error: Exception, rows: int, width: int) -> None:
        """Halve the batch size after running out of memory with ``rows`` sequences.

        Raises:
            Exception: ``error``, where it has another cause.
            ModelError: There was only one sequence.
        """
        if not (
            isinstance(error, (torch.OutOfMemoryError, MemoryError))
            or "can't allocate memory" in str(error)  # on the CPU
        ):
            raise error
        if rows == 1:
            raise ModelError(
                f"the memory does not hold the model and one text of {width} tokens; lower "
                "synthesis_max_length or synthesis_max_new_tokens, or use a machine with more"
            ) from error
        self._batch_size = rows // 2
        log.warning(
            "out of memory with %d texts of %d tokens at once: continuing with %d",
            *(rows, width, self._batch_size),
        )

    def _completion(self, text: Text, solved: int, stops: Sequence[str]) -> Completion:
        ended = text.tokens[-1] == self._tokenizer.eos_token_id
        whole = str(self._tokenizer.decode(text.tokens[:-1] if ended else text.tokens))
        begin = len(whole) - len(whole.lstrip())
        ends = [end for stop in stops if (end := whole.find(stop, begin)) >= 0]
        return Completion(
            text=whole[: min(ends)] if ends else whole,
            finished=ended or bool(ends),
            confidence=math.exp(statistics.fmean(text.log_probs)),
            solved=solved,
        )

    def _answer_tokens(self, answers: Sequence[str]) -> list[list[int]]:
        tokens = [list(self._tokenizer(a, add_special_tokens=False).input_ids) for a in answers]
        # sorted, an answer that others begin with stands right before one of them
        nested = any(after[: len(answer)] == answer for answer, after in pairwise(sorted(tokens)))
        return [[*t, self._tokenizer.eos_token_id] for t in tokens] if nested else tokens

    def _encode(self, prompts: Sequence[Prompt], reserve: int) -> list[Encoded]:
        questions = [replace(prompt, answer=None) for prompt in prompts]
        encoded = encode_all(questions, self._tokenizer, self._max_length, reserve)
        for question, row in zip(questions, encoded, strict=True):
            if row.shown < 1:
                self._shown[question] = row.shown
        return encoded

    def _prefix(self, prefix: list[int]) -> DynamicCache:
        if self._known_prefix is None or self._known_prefix[0] != prefix:
            self._known_prefix = prefix, prefix_cache(self._model, prefix)
            count_tokens(read=len(prefix))
        return self._known_prefix[1]

    def _score(self, tree: AnswerTree, encoded: Sequence[Encoded]) -> NDArray[np.float64]:
        """Return log-probabilities of the tree's answers, [prompts, answers], in one pass."""
        logits = self._logits(tree, encoded[0].prefix, [row.rest for row in encoded])
        totals = logits.logsumexp(-1).double().cpu()
        columns = []
        for steps in tree.steps:
            places = [place for place, _ in steps]
            tokens = [token for _, token in steps]
            columns.append(logits[:, places, tokens].double().cpu() - totals[:, places])
        return np.stack([column.sum(1).numpy() for column in columns], axis=1)

    def _read(self, prefix: list[int], pairs: Sequence[_Pair]) -> NDArray[np.float64]:
        """Return log-probabilities of texts after prompts that begin with a prefix, in one pass."""
        places = max(len(pair.text) for pair in pairs)
        rows = [[*pair.asking, *pair.text[:-1]] for pair in pairs]
        logits = self._logits(AnswerTree.of([]), prefix, rows, places)
        padded = [[0] * (places - len(pair.text)) + pair.text for pair in pairs]
        tokens = torch.tensor(padded, device=logits.device).unsqueeze(-1)
        log_probs = (logits.gather(-1, tokens).squeeze(-1) - logits.logsumexp(-1)).double().cpu()
        real = torch.arange(places) >= torch.tensor([[places - len(pair.text)] for pair in pairs])
        return np.asarray(torch.where(real, log_probs, 0.0).sum(dim=1))

    def _logits(
        self, tree: AnswerTree, prefix: list[int], rests: Sequence[list[int]], more: int = 1
    ) -> Tensor:
        """Return logits of what follows, of shape [rows, places, vocabulary].

        Args:
            tree: Answers that stand side by side after each row.
            prefix: Tokens before each row.
            rests: The rows' own tokens.
            more: After how many tokens of a row, its last ones, what follows is looked at; those
                of a shorter row mean nothing.
        """
        width = max(map(len, rests))
        gaps = torch.tensor([width - len(row) for row in rests])
        ids = torch.tensor([[0] * (width - len(row)) + row for row in rests])
        ids = torch.cat([ids, torch.tensor([tree.tokens] * len(rests), dtype=torch.long)], dim=1)
        depths = torch.tensor(tree.depths, dtype=torch.long)
        within = torch.cat([torch.arange(width), width - 1 + depths])
        positions = (len(prefix) + within - gaps.unsqueeze(1)).clamp(min=0)
        forward = self._forward_joined if self._joins_rows else self._forward_padded
        return forward(tree, prefix, ids, positions, gaps, len(tree.tokens) + more)

    def _forward_padded(
        self,
        tree: AnswerTree,
        prefix: list[int],
        ids: Tensor,
        positions: Tensor,
        gaps: Tensor,
        places: int,
    ) -> Tensor:
        """Return logits at the last places, of shape [rows, places, vocabulary]."""
        device = self._model.device
        output = self._model(
            input_ids=ids.to(device),
            attention_mask=self._mask(tree, len(prefix), ids.shape[1] - len(tree.tokens), gaps),
            position_ids=positions.to(device),
            past_key_values=shared_by_rows(self._prefix(prefix)),
            use_cache=True,
            logits_to_keep=places,
        )
        logits: Tensor = output.logits.float()
        return logits

    def _forward_joined(
        self,
        tree: AnswerTree,
        prefix: list[int],
        ids: Tensor,
        positions: Tensor,
        gaps: Tensor,
        places: int,
    ) -> Tensor:
        """Return the same from a model that accepts joined rows."""
        rows, width = ids.shape
        real = torch.arange(width) >= gaps.unsqueeze(1)
        ends = (real.flatten().cumsum(0) - 1).view(rows, width)[:, -places:]
        output = self._model(
            input_ids=ids[real].unsqueeze(0),
            attention_mask=self._mask(tree, 0, width - len(tree.tokens), gaps),
            position_ids=positions[real].unsqueeze(0),
            use_cache=False,
            logits_to_keep=ends.flatten().clamp(min=0),
            joined=Joined(self._prefix(prefix), (rows, width), real.flatten().nonzero().squeeze(1)),
        )
        logits: Tensor = output.logits.float().view(rows, places, -1)
        return logits

    def _mask(self, tree: AnswerTree, prefix: int, width: int, gaps: Tensor) -> Tensor:
        """Return the mask added to attention, of shape [rows, 1, tokens, prefix + tokens].

        A prompt's token sees the prefix and the prompt up to itself; a token of an answer sees the
        whole prompt and its own answer up to itself, but not the other answers.
        """
        nodes = len(tree.tokens)
        sees = torch.ones(width + nodes, prefix + width + nodes, dtype=torch.bool)
        sees[:, prefix:] = sees[:, prefix:].tril()
        sees[width:, prefix + width :] = tree.sight()
        real = torch.arange(width + nodes) >= gaps.unsqueeze(1)
        real = torch.cat([torch.ones(len(gaps), prefix, dtype=torch.bool), real], dim=1)
        hidden = ~(sees & real.unsqueeze(1))
        dtype = self._model.dtype
        mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, torch.finfo(dtype).min)
        return mask.unsqueeze(1).to(self._model.device)


@dataclass(frozen=True)
class _Pair:
    """A text to be read after a prompt: tokens of the prompt after its prefix, and of the text."""

    asking: list[int]
    text: list[int]

    @property
    def width(self) -> int:
        return len(self.asking) + len(self.text)


def _longest_first(encoded: Sequence[Encoded]) -> list[int]:
    """Return an order in which neighbours have like lengths, and memory runs out early or never."""
    return sorted(range(len(encoded)), key=lambda row: -len(encoded[row].rest))
