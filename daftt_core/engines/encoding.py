"""From prompts and answers to tokens, the same for training and for queries.

Prefix, body, suffix and answer are tokenized apart, so that cutting a body never touches the rest
and a prefix has the same tokens before every body. What looks like one of the tokenizer's special
tokens, such as ``<|im_end|>``, is tokenized as plain text, as by every tokenizer that the loaders
return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from daftt_core.errors import ModelError
from daftt_core.tasks import Prompt

_LEAST_ROOM = 2


@dataclass(frozen=True)
class Encoded:
    """A prompt's tokens.

    Attributes:
        prefix: Tokens that all prompts of a task and direction share.
        rest: Tokens of the solved examples, the body and the suffix.
        answer: Tokens of the answer and its end mark; empty when there is no answer.
        cut: Whether body or answer had to be shortened.
        solved: How many of the prompt's solved examples there was room for.
        shown: Fraction of the body's tokens that are left, in [0, 1].
    """

    prefix: list[int]
    rest: list[int]
    answer: list[int]
    cut: bool
    solved: int
    shown: float


def encode(
    prompt: Prompt, tokenizer: PreTrainedTokenizerBase, max_length: int, reserve: int = 0
) -> Encoded:
    """Tokenize a prompt into at most ``max_length`` tokens.

    The last solved examples are left out first. Then the end of the body is cut, and then the end
    of the answer (which then lacks its end mark). ``reserve`` tokens are kept free for an answer
    that is yet to come.

    Raises:
        ModelError: The fixed parts alone do not fit.
    """
    return encode_all([prompt], tokenizer, max_length, reserve)[0]


def encode_all(
    prompts: Sequence[Prompt],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    reserve: int = 0,
) -> list[Encoded]:
    """Tokenize many prompts as :func:`encode` does, each distinct text once and all together."""
    parts = (
        (p.prefix, *p.solved, p.turn(0), p.turn(1), p.body, p.suffix, p.answer) for p in prompts
    )
    texts = list({text: None for part in parts for text in part if text})
    token_ids: list[list[int]] = []
    if texts:
        token_ids = tokenizer(texts, add_special_tokens=False).input_ids
    tokens = {"": [], **{text: list(ids) for text, ids in zip(texts, token_ids, strict=True)}}
    special = list(tokenizer("").input_ids)
    beginning = special[:1] if special and special[0] == tokenizer.bos_token_id else []
    ending = [tokenizer.eos_token_id]
    return [
        _fit(
            beginning + tokens[prompt.prefix],
            [tokens[text] for text in prompt.solved],
            (tokens[prompt.turn(0)], tokens[prompt.turn(1)]),
            tokens[prompt.body],
            tokens[prompt.suffix],
            [] if prompt.answer is None else tokens[prompt.answer] + ending,
            max_length,
            reserve,
        )
        for prompt in prompts
    ]


def _fit(
    prefix: list[int],
    solved: Sequence[list[int]],
    turns: tuple[list[int], list[int]],
    body: list[int],
    suffix: list[int],
    answer: list[int],
    max_length: int,
    reserve: int,
) -> Encoded:
    room = max_length - len(prefix) - len(suffix) - reserve
    needed = max(len(body) + len(answer), _LEAST_ROOM)
    lengths = accumulate(map(len, solved), initial=len(turns[1]) + needed)
    count = max(sum(length <= room for length in lengths) - 1, 0)
    before = [token for example in solved[:count] for token in example] + turns[min(count, 1)]
    room -= len(before)
    if room < _LEAST_ROOM:
        fixed = len(prefix) + len(before) + len(suffix)
        raise ModelError(
            f"the task's definition, with its own examples, takes {fixed} tokens and leaves no "
            f"room for an input within max_length {max_length}; shorten it or raise max_length"
        )
    cut_body = body[: max(room - len(answer), room // 2)]
    cut_answer = answer[: room - len(cut_body)]
    cut = len(cut_body) < len(body) or len(cut_answer) < len(answer)
    shown = len(cut_body) / len(body) if body else 1.0
    return Encoded(prefix, before + cut_body + suffix, cut_answer, cut, count, shown)


@dataclass(frozen=True)
class AnswerTree:
    """Several answers' tokens but their last ones, which need not be read to be predicted.

    What answers begin with in common is read once. A next token is predicted at each *place*: place
    0 is the prompt's end, place n is the nth node.

    Attributes:
        tokens: The token of each node, parents before their children.
        parents: The place before each node.
        depths: How many tokens after the prompt's end each node is, from 1.
        steps: For each answer, the place and the token of each of its steps.
    """

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    steps: list[list[tuple[int, int]]]

    @classmethod
    def of(cls, answers: Sequence[Sequence[int]]) -> AnswerTree:
        """Return the tree of some answers, given each answer's tokens."""
        tree = cls([], [], [], [])
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

    def sight(self) -> Tensor:
        """Return which node sees which (itself and its ancestors), of shape [nodes, nodes]."""
        sees = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent:
                sees[node] |= sees[parent - 1]
        return sees
