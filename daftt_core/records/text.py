"""Texts: how they are compared, and how they are shown.

What is shown holds no characters that HTML and SVG cannot hold, that turn the direction of the
text around them, or that a terminal obeys. Escaping of ``<``, ``&`` and quotes is the template
engine's work.
"""

from __future__ import annotations

import re
import unicodedata

_CONTROL_PICTURES = 0x2400
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, except tab and line feed
    "\u2028\u2029\u202a-\u202e\u2066-\u2069"  # separators, direction overrides and isolates
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"  # lone surrogates and non-characters
)


def normalize(text: str) -> str:
    """Return a text as it is compared: NFKC, case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", _unpiled(text)).casefold().split())


def composed(text: str) -> str:
    """Return the one spelling of texts that Unicode calls the same (NFC), such as accents."""
    return unicodedata.normalize("NFC", _unpiled(text))


def _unpiled(text: str) -> str:
    """Return a text that is normalized in linear time, however many marks one letter has."""
    if text.isascii():
        return text
    from daftt_core.records.words import PILED_UP_MARKS

    return PILED_UP_MARKS.sub("\\1\u034f", text)


def visible(text: str) -> str:
    """Return the text with control characters shown as symbols; line breaks and tabs stay.

    NUL becomes ``␀`` and so on; a character without a symbol of its own becomes ``\ufffd``.
    """
    return _HIDDEN.sub(lambda match: _symbol(ord(match.group())), text)


def visible_line(text: str) -> str:
    """Return a text for one line, such as a name: line breaks and tabs become symbols, too."""
    return visible(text).replace("\n", _symbol(0x0A)).replace("\t", _symbol(0x09))


def escape_markdown(text: str) -> str:
    """Return the text as one line in which nothing is Markdown or HTML."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return _MARKDOWN.sub(r"\\\1", line)


def _symbol(code: int) -> str:
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    return "\u2421" if code == 0x7F else "\ufffd"
