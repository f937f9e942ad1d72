"""Querying the teacher about each of many inputs; those that cannot be answered are set aside.

An input comes from anywhere, so it may be no text, or a text that was made to lead a model astray.
Most of that is harmless because of the form of the queries: an input is put on one line, so that it
cannot begin a field of the prompt, and text that spells one of the tokenizer's special tokens is
tokenized as plain text. It is set aside all the same, because no answer to it would be worth
learning from, and because a server reads such tokens in its own way.

Characters that have their place in some language are left alone: zero-width joiners, marks of
direction, and the ends and beginnings of embedded directions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TypeVar

from daftt_core.engines import PromptError, PromptRefusedError
from daftt_core.errors import RemoteError
from daftt_core.records import Example, SyntheticExample
from daftt_core.records.words import PILED_UP_MARKS
from daftt_core.synthesis.outputs import Outputs
from daftt_core.tasks import FIELD_NAME
from daftt_core.telemetry import log

# what no text holds: NUL and other controls that are no white space, and halves of surrogate pairs
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff]")
# what shows another text than is there: overridden direction, and letters without a shape, which
# have their place in the flags of England, Scotland and Wales alone
_HIDDEN = re.compile("[\u202d\u202e]|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]")
# how models mark turns, ends and padding: <|im_end|>, <s>, [INST], <start_of_turn> and their like
_CONTROL = re.compile(
    r"<[|\uff5c][^<>\s]{1,40}[|\uff5c]>"
    r"|</?(s|bos|eos|pad|unk|mask|sep|cls|eod|start_of_turn|end_of_turn|end_of_text|endoftext)>"
    r"|\[/?(INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>",
    re.I,
)

_TOO_MANY = 3

T = TypeVar("T")


def find_problem(example: Example) -> str | None:
    """Return why an input should not be put to the teacher; None when it may be."""
    texts = [text for text in (example.text, example.text_pair) if text is not None]
    return next((problem for text in texts if (problem := _text_problem(text))), None)


def _text_problem(text: str) -> str | None:
    if _NO_TEXT.search(text):
        return "not text"
    if not any(unicodedata.category(character)[0] in "LNPS" for character in text):
        return "blank"
    if _HIDDEN.search(text):
        return "hidden characters"
    if PILED_UP_MARKS.search(text):
        return "piled-up marks"
    if _CONTROL.search(text):
        return "control token"
    if FIELD_NAME.search(text):
        return "imitates the prompt"
    return None


def give_outputs(
    outputs: Outputs, examples: Sequence[SyntheticExample], temperature: float
) -> list[SyntheticExample]:
    """Give inputs their outputs; those that have a problem get none.

    An input that loses its end in the prompt gets an output and is marked ``shortened``. One that
    loses half of itself, or a pair that loses half of its second text, is set aside: nobody would
    accept a label from an annotator who has not read the text.

    Args:
        outputs: Gives them.
        examples: Inputs without outputs; one that has a problem already keeps it.
        temperature: How labels and texts are drawn; 0 takes the most probable.

    Returns:
        As many examples, in the same order.
    """
    screened = [
        _with_problem(example, example.problem or find_problem(example)) for example in examples
    ]
    sound = [example for example in screened if example.problem is None]
    answers = query_each(lambda part: outputs.give(part, temperature), sound, _with_problem)
    judged = iter(
        _as_read(example, answer, outputs.share_shown(example))
        for example, answer in zip(sound, answers, strict=True)
    )
    return [next(judged) if example.problem is None else example for example in screened]


def query_each(
    query: Callable[[Sequence[T]], list[SyntheticExample]],
    items: Sequence[T],
    set_aside: Callable[[T, str], SyntheticExample],
) -> list[SyntheticExample]:
    """Query about all items together, and about fewer at a time where one of them is refused.

    Args:
        query: Turns items into as many examples, or raises a :class:`PromptError`.
        items: The items.
        set_aside: Makes the example of an item that cannot be answered, and its problem.

    Raises:
        RemoteError: Each of three or more items is refused, so it is not because of them.
    """
    refusals: list[PromptError] = []

    def query_part(part: Sequence[T]) -> list[SyntheticExample]:
        try:
            return query(part)
        except PromptError as error:
            if len(part) > 1:
                half = len(part) // 2
                return [*query_part(part[:half]), *query_part(part[half:])]
            refusals.append(error)
            return [set_aside(part[0], error.problem)]

    examples = query_part(items)
    refused = [error for error in refusals if isinstance(error, PromptRefusedError)]
    if len(refused) == len(items) >= _TOO_MANY:
        raise RemoteError(f"each of {len(items)} examples was refused; the last time {refused[-1]}")
    if refusals:
        log.warning("%d of %d set aside: %s", len(refusals), len(items), refusals[-1])
    return examples


def _with_problem(example: SyntheticExample, problem: str | None) -> SyntheticExample:
    return example.model_copy(update={"problem": problem})


def _as_read(example: SyntheticExample, answer: SyntheticExample, shown: float) -> SyntheticExample:
    """Return the answer to use, given the fraction of the input that the teacher was shown."""
    last = len(example.text if example.text_pair is None else example.text_pair)
    before = 0 if example.text_pair is None else len(example.text)
    if shown == 1 or answer.problem == "too long":
        return answer
    if shown * (before + last) < before + last / 2:
        return _with_problem(example, "too long")
    return answer.model_copy(update={"shortened": True})
