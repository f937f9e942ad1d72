"""Inputs that are not worth a question: what is wrong with them, in the words of the report.

An input comes from anywhere, so it may be no text, or a text that was made to lead a model astray.
Most of that is harmless by the way in which the teacher is asked: an input is put into one line, so
that it cannot begin a field of the prompt, and what looks like a token of the tokenizer's own is
spelled out. What is found here is set aside all the same, because no answer to it would be worth
learning from, and because a server reads such tokens in its own way.

Left alone are characters that have their place in some language: zero-width joiners, marks of
direction, and the ends and beginnings of embedded directions.
"""

from __future__ import annotations

import re
import unicodedata

from daftt_core.records import PILED_UP_MARKS, Example
from daftt_core.tasks import FIELD_NAME

__all__ = ["find_problem"]

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


def find_problem(example: Example) -> str | None:
    """Why an input should not be asked about; None when it may be.

    Args:
        example: The input; its output is not looked at.
    """
    texts = [text for text in (example.text, example.text_pair) if text is not None]
    return next((problem for text in texts if (problem := _find(text))), None)


def _find(text: str) -> str | None:
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
