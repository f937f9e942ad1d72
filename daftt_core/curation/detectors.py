"""Detects the language of a text, and personal data in it.

Of 2,000 English sentences of movie reviews (114 characters on average) py3langid takes 0.3% for
another language, none of them with a probability of one half: so an input needs one half to be
called foreign. Very short foreign texts pass that way.

Patterns find candidates and libraries judge them: email-validator the syntax of an address,
phonenumbers (Google's libphonenumber) the numbering plan of a country, python-stdnum the check
digit of a card. Names and postal addresses are not looked for; they would need a language model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneNumberMatcher
from stdnum import luhn

from daftt_core.errors import ConfigError, did_you_mean
from daftt_core.records import SyntheticExample
from daftt_core.records.words import IGNORED, MARKS
from daftt_core.tasks import Task

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier


_MIN_PROBABILITY = 0.5


def check_language(language: str) -> None:
    """Make sure that a language can be recognized; "" stands for any.

    Raises:
        ConfigError: It is not known.
    """
    if language and language not in _identifier().labels:
        known = sorted(map(str, _identifier().labels))
        raise ConfigError(
            f"curation_language: {language!r} is not a language that can be recognized"
            f"{did_you_mean(language, known)} (known: {', '.join(known)})"
        )


def foreign_language(text: str, language: str) -> str | None:
    """Return the language of a text where that is clearly not ``language``; else None."""
    detected, probability = _identifier().classify(text)
    if detected == language or probability < _MIN_PROBABILITY:
        return None
    return str(detected)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # takes a second

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


# RFC 5321 allows 64 characters before the sign. A top-level domain is letters and their marks, or
# in ASCII xn-- and more (RFC 5891). Brackets, quotes and a full stop often touch an address.
_EMAIL = re.compile(
    rf"\w[\w{MARKS}.!#$%&*+/=?^`|~-]{{0,63}}@(?:[\w{MARKS}-]{{1,63}}\.){{1,9}}"
    rf"(?:[xX][nN]--[A-Za-z0-9-]{{1,59}}|[^\W\d_](?:[^\W\d_]|[{MARKS}]){{1,62}})"
)
# Digits and what may stand between two of them. Commas are those of large numbers. Of signs that
# look alike, or of a category, one stands for all.
_DIGITS = re.compile(r"\d(?:[ ./_*|\u00b7-]{0,3}\d)*")
_SIGNS = {
    **dict.fromkeys(["Zs", "\t"], " "),
    **dict.fromkeys(["Pd", "\u2043", "\u2212", "\u30fc"], "-"),
    **dict.fromkeys("\u2022\u2027\u2219\u22c5\u3002\u30fb", "\u00b7"),  # points at half height
}
_GROUP = re.compile(r"\d+")
_FRACTION = re.compile(r"\d[.,]$")  # what comes next are the digits of a fraction
_DATE = re.compile(
    r"(?:19|20)\d\d([./-])\d\d?\1\d\d?(?!\d)|(?<!\d)\d\d?([./-])\d\d?\2(?:19|20)\d\d"
)
_AMOUNTS = re.compile(r"\d+\.\d+|(?:\d+\.\d\d?(?!\d)[ /*|-]*)+")
# ISO/IEC 7812: payment cards begin with 2 to 6, those with 2 with 22 to 27, and have 13 to 19
# digits. So they are printed: in one, or in groups of these sizes.
_CARD_BEGINS = re.compile(r"2[2-7]|[3-6]")
_CARD_DIGITS = range(13, 20)
_CARD_GROUPS = [(4, 4, 4, 4, 3), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), *((n,) for n in _CARD_DIGITS)]
_SEVEN_DIGITS = re.compile(r"\d(?:\D{0,3}\d){6}")
# The matcher of phone numbers takes time in the square of its text: it gets no more than this, cut
# where no number is, or where there is no such place, so that the pieces overlap by a number.
_PIECE, _OVERLAP = 250, 60
_NO_NUMBER = re.compile(r"[^\W\d_]{2}")

_Span = tuple[int, int]


class Finding(NamedTuple):
    """Personal data in a text, from ``start`` up to and without ``end``."""

    start: int
    end: int
    kind: str


def find_personal_data(text: str, region: str = "") -> list[Finding]:
    """Return the personal data in a text, from left to right, without overlaps.

    Digits, blanks, dashes and the like count in any of their forms; invisible characters are
    ignored.

    Args:
        text: The text.
        region: Country whose phone numbers are known without a country code, such as ``US``.
    """
    plain, places = _plain(text)
    taken = bytearray(len(plain))
    findings: list[Finding] = []
    for start, end, kind in (*_emails(plain), *_cards(plain), *_phones(plain, region)):
        if not any(taken[start:end]):
            taken[start:end] = b"\1" * (end - start)
            findings.append(Finding(places[start], places[end - 1] + 1, kind))
    return sorted(findings)


def _plain(text: str) -> tuple[str, Sequence[int]]:
    """Return a text in plain digits and signs, and the original place of each character."""
    if text.isascii():
        return text, range(len(text))
    kept = [
        (place, plain)
        for place, character in enumerate(text)
        if (plain := _plain_character(character))
    ]
    return "".join(plain for _, plain in kept), [place for place, _ in kept]


@lru_cache(maxsize=2**12)
def _plain_character(character: str) -> str:
    """Return one character for one, or nothing for an invisible one."""
    if IGNORED.match(character):
        return ""
    folded = unicodedata.normalize("NFKC", character)
    plain = folded if len(folded) == 1 else character
    if plain.isdecimal():
        return str(int(plain))
    return _SIGNS.get(plain) or _SIGNS.get(unicodedata.category(plain), plain)


def redact(text: str, findings: list[Finding]) -> str:
    """Replace each finding in a text by its kind in brackets, such as ``[e-mail]``."""
    parts, end = [], 0
    for finding in findings:
        parts += [text[end : finding.start], f"[{finding.kind}]"]
        end = finding.end
    return "".join([*parts, text[end:]])


def find_in_example(
    example: SyntheticExample, task: Task, region: str
) -> tuple[dict[str, Any], set[str]]:
    """Find personal data in an example's input and in an output that the teacher wrote.

    Args:
        example: The example.
        task: Its task; labels are not searched.
        region: As for :func:`find_personal_data`.

    Returns:
        The redacted fields, of those that hold any, and the kinds found.
    """
    changed: dict[str, Any] = {}
    kinds: set[str] = set()

    def clean(text: str) -> str:
        findings = find_personal_data(text, region)
        kinds.update(finding.kind for finding in findings)
        return redact(text, findings)

    for field in ("text", "text_pair", "output"):
        text = getattr(example, field)
        if text is None or (field == "output" and task.is_classification):
            continue
        if (cleaned := clean(text)) != text:
            changed[field] = cleaned
    samples = tuple(each.model_copy(update={"text": clean(each.text)}) for each in example.samples)
    if samples != example.samples:
        changed["samples"] = samples
    return changed, kinds


def _emails(text: str) -> Iterator[Finding]:
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        try:
            validate_email(match.group(), check_deliverability=False, globally_deliverable=False)
        except EmailNotValidError:
            continue
        yield Finding(match.start(), match.end(), "e-mail")


def _cards(text: str) -> Iterator[Finding]:
    for match in _DIGITS.finditer(text):
        groups = [group.span() for group in _GROUP.finditer(text, *match.span())]
        cards = list(_printed_cards(text, groups))
        if not cards and _is_spread_card(text, groups):
            cards = [match.span()]
        yield from (Finding(start, end, "card") for start, end in cards)


def _printed_cards(text: str, groups: Sequence[_Span]) -> Iterator[_Span]:
    """Yield the card numbers among groups of digits that are grouped as on printed cards."""
    sizes = [end - start for start, end in groups]
    place = 0
    while place < len(groups):
        for card in _CARD_GROUPS:
            start, end = groups[place][0], groups[min(place + len(card), len(groups)) - 1][1]
            if (
                tuple(sizes[place : place + len(card)]) == card
                and not _FRACTION.search(text, max(0, start - 2), start)
                and _is_card(text[start:end])
            ):
                yield start, end
                place += len(card) - 1
                break
        place += 1


def _is_spread_card(text: str, groups: Sequence[_Span]) -> bool:
    """Return whether all groups together are one card number, grouped in another way.

    Dates, amounts and lists of numbers look like that too, and one in ten has a valid check digit;
    but their groups differ in size, and few have four digits.
    """
    sizes = [end - start for start, end in groups]
    start, end = groups[0][0], groups[-1][1]
    return (
        (len(set(sizes[:-1])) == 1 or max(sizes) >= 4)
        and not _FRACTION.search(text, max(0, start - 2), start)
        and _is_card(text[start:end])
        and not _DATE.search(text, start, end)
        and not _AMOUNTS.fullmatch(text, start, end)
    )


def _is_card(text: str) -> bool:
    digits = "".join(_GROUP.findall(text))
    return (
        len(digits) in _CARD_DIGITS
        and _CARD_BEGINS.match(digits) is not None
        and luhn.is_valid(digits)
    )


def _phones(text: str, region: str) -> Iterator[Finding]:
    if not _SEVEN_DIGITS.search(text):  # the matcher is slow, and most texts have no number
        return
    for start, piece in _pieces(text):
        if _SEVEN_DIGITS.search(piece):
            for match in PhoneNumberMatcher(piece, region or None):
                yield Finding(start + match.start, start + match.end, "phone")


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield a text in pieces, each with its place."""
    start = 0
    while len(text) - start > _PIECE:
        end = start + _PIECE
        cuts = [cut.end() for cut in _NO_NUMBER.finditer(text, start + _PIECE // 2, end)]
        yield start, text[start : cuts[-1] if cuts else end]
        start = cuts[-1] if cuts else end - _OVERLAP
    yield start, text[start:]
