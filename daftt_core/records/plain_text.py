"""Text from data, made fit to be seen: nothing in it is invisible or changes its surroundings.

Escaping of ``<``, ``&`` and quotes is the template engine's work; this is about characters that
HTML and SVG cannot hold, about those that would turn the direction of the text around them, and
about those that a terminal obeys.
"""

from __future__ import annotations

import re

_CONTROL_PICTURES = 0x2400
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, except tab and line feed
    "\u2028\u2029\u202a-\u202e\u2066-\u2069"  # separators, direction overrides and isolates
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"  # lone surrogates and non-characters
)
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")


def visible(text: str) -> str:
    """The text with control characters shown as symbols; line breaks and tabs stay.

    NUL becomes ``␀`` and so on; what has no symbol of its own becomes ``\ufffd``.
    """
    return _HIDDEN.sub(lambda match: _symbol(ord(match.group())), text)


def visible_line(text: str) -> str:
    """The same for a name or what else stands on one line: breaks and tabs are symbols, too."""
    return visible(text).replace("\n", _symbol(0x0A)).replace("\t", _symbol(0x09))


def escape_markdown(text: str) -> str:
    """Return the text as one line in which nothing is Markdown or HTML."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return _MARKDOWN.sub(r"\\\1", line)


def _symbol(code: int) -> str:
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    return "\u2421" if code == 0x7F else "\ufffd"
