"""Which words a text consists of, and characters by Unicode's classes.

A word is a run of letters, digits and the marks on them: one notion for overlap, echoes,
repetition, diversity and near duplicates. In scripts that are written without blanks, or with
blanks that writers leave out as they like, each *character*, a letter with its marks, is a word by
itself. Those are the scripts whose lines may be broken between any two letters, or by a dictionary
only (Unicode Standard Annex 14, classes ID, CJ, H2, H3, AK and SA).

Importing this reads Unicode's whole table, so :mod:`daftt_core.records` does not.
"""

from __future__ import annotations

import re
import unicodedata

from daftt_core.records.text import normalize

_COMBINING = "".join(chr(c) for c in range(0x20000) if unicodedata.combining(chr(c)))
PILED_UP_MARKS = re.compile(f"([{_COMBINING}]{{30}})(?=[{_COMBINING}])")
"""More combining marks on one letter than Unicode's stream-safe format allows (UAX 15, 13): 30."""

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u2e80-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"  # Han, kana, bopomofo
    "\ua000-\ua4cf\U00016fe0-\U00018d8f"  # Yi, Tangut, Khitan, Nushu
)
# the Basic Multilingual Plane is enough, and a class within it is looked up several times as fast
_PLANE = [(chr(code), unicodedata.category(chr(code))) for code in range(0x10000)]
MARKS = "".join(character for character, category in _PLANE if category[0] == "M")
"""All marks of the Basic Multilingual Plane, to stand between a pattern's brackets."""
_CHARACTER = re.compile(rf"(?!\W)[{_UNSPACED}][{MARKS}]*")
_WORD = re.compile(rf"[^\W_]+(?:[{MARKS}]+[^\W_]*)*")
_ASCII_WORD = re.compile("[a-z0-9]+")
IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]+"
)
"""What shows nothing, such as a zero-width space: Unicode's Default_Ignorable_Code_Point."""
# Left out are those that tell C# from C, 5% from 5 or -1 from 1; a point within a number stays.
_PUNCTUATION = "".join(
    rf"\{character}"
    for character, category in _PLANE
    if category[0] == "P" and character not in "#%&*@/\\-"
)
_BETWEEN = re.compile(rf"(?<!\d)[{_PUNCTUATION}]|[{_PUNCTUATION}](?!\d)|-(?!\d)")
_WORD_OR_SIGN = re.compile(rf"{_WORD.pattern}|\S")


def words_of(text: str) -> list[str]:
    """Return the words of a text, normalized."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(_plain(text))


def is_character(word: str) -> bool:
    """Return whether a word of :func:`words_of` is a character of a script without blanks."""
    return bool(_CHARACTER.match(word))


def bare(text: str) -> str:
    """Return a text's words and signs with a blank between each two, without its punctuation.

    A text of nothing but punctuation stays as it is, normalized.
    """
    return " ".join(_WORD_OR_SIGN.findall(_BETWEEN.sub(" ", _plain(text)))) or normalize(text)


def apart(text: str) -> str:
    """Return a text with blanks around each character of a script without them."""
    return text if text.isascii() else _CHARACTER.sub(r" \g<0> ", text)


def _plain(text: str) -> str:
    return apart(normalize(IGNORED.sub("", text)))
