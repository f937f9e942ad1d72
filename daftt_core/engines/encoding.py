"""From prompts to tokens, the same for training and for asking.

Prefix, body, suffix and answer are tokenized apart, so that cutting a body never touches the rest
and a prefix has the same tokens before every body. What looks like one of
the tokenizer's special tokens, such as ``<|im_end|>``, is spelled out: a text is only ever text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from daftt_core.errors import ModelError
from daftt_core.tasks import Prompt

__all__ = ["Encoded", "encode", "encode_all"]


@dataclass(frozen=True)
class Encoded:
    """A prompt's tokens.

    Attributes:
        prefix: Tokens that all prompts of a task and direction share.
        rest: Tokens of body and suffix.
        answer: Tokens of the answer and its end mark; empty when there is no answer.
        cut: Whether body or answer had to be shortened.
        shown: Share of the body's tokens that are left, in [0, 1].
    """

    prefix: list[int]
    rest: list[int]
    answer: list[int]
    cut: bool
    shown: float


def encode(
    prompt: Prompt, tokenizer: PreTrainedTokenizerBase, max_length: int, reserve: int = 0
) -> Encoded:
    """Tokenize a prompt into at most ``max_length`` tokens.

    The end of the body is cut first, then the end of the answer (which then lacks its end mark).

    Args:
        prompt: What to tokenize.
        tokenizer: The model's tokenizer.
        max_length: Tokens allowed in all.
        reserve: Tokens to keep free for an answer that is yet to come.

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
    """:func:`encode` for many prompts, each distinct text being tokenized once and all together.

    Args:
        prompts: What to tokenize.
        tokenizer: The model's tokenizer.
        max_length: Tokens allowed in all, for each prompt.
        reserve: Tokens to keep free for an answer that is yet to come.

    Raises:
        ModelError: The fixed parts of a prompt do not fit.
    """
    parts = ((p.prefix, p.body, p.suffix, p.answer) for p in prompts)
    texts = list({text: None for part in parts for text in part if text})
    found: list[list[int]] = []
    if texts:
        found = tokenizer(texts, add_special_tokens=False, split_special_tokens=True).input_ids
    tokens = {"": [], **{text: list(ids) for text, ids in zip(texts, found, strict=True)}}
    beginning = _beginning(tokenizer)
    ending = [tokenizer.eos_token_id]
    return [
        _fit(
            beginning + tokens[prompt.prefix],
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
    body: list[int],
    suffix: list[int],
    answer: list[int],
    max_length: int,
    reserve: int,
) -> Encoded:
    room = max_length - len(prefix) - len(suffix) - reserve
    if room < 2:
        raise ModelError(
            f"the task's definition takes {len(prefix) + len(suffix)} tokens and leaves no room "
            f"for an input within max_length {max_length}; shorten it or raise max_length"
        )
    kept_body = body[: max(room - len(answer), room // 2)]
    kept_answer = answer[: room - len(kept_body)]
    cut = len(kept_body) < len(body) or len(kept_answer) < len(answer)
    shown = len(kept_body) / len(body) if body else 1.0
    return Encoded(prefix, kept_body + suffix, kept_answer, cut, shown)


def _beginning(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    special = list(tokenizer("").input_ids)
    return special[:1] if special and special[0] == tokenizer.bos_token_id else []
