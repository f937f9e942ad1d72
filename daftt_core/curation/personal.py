"""E-mail addresses, phone and card numbers in a text.

Patterns find candidates and libraries judge them: email-validator the syntax of an address,
phonenumbers (Google's libphonenumber) the numbering plan of a country, python-stdnum the check
digit of a card. Names and postal addresses are not looked for; they would need a language model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from email_validator import EmailNotValidError, validate_email
from phonenumbers import PhoneNumberMatcher
from stdnum import luhn

from daftt_core.records import SyntheticExample
from daftt_core.tasks import Task

__all__ = ["Finding", "find_in_example", "find_personal_data", "redact"]

# The text around an address often touches it: brackets, quotes, a full stop.
_EMAIL = re.compile(r"[^\s@<>()\[\]{}\"',;:]+@[^\s@<>()\[\]{}\"',;:]+\.[^\W\d_]{2,}")
# ISO/IEC 7812: payment cards begin with 2 to 6 and have 13 to 19 digits.
_CARD = re.compile(r"(?<![\d.,])[2-6](?:[ -]?\d){12,18}(?![\d])")
_SEVEN_DIGITS = re.compile(r"\d(?:\D{0,3}\d){6}")


class Finding(NamedTuple):
    """Personal data in a text, from ``start`` up to and without ``end``."""

    start: int
    end: int
    kind: str


def find_personal_data(text: str, region: str = "") -> list[Finding]:
    """What there is in a text, from left to right, without overlaps.

    Args:
        text: The text.
        region: Country whose phone numbers are known without a country code, such as ``US``.
    """
    found: list[Finding] = []
    for finding in (*_emails(text), *_cards(text), *_phones(text, region)):
        if all(finding.end <= one.start or finding.start >= one.end for one in found):
            found.append(finding)
    return sorted(found)


def redact(text: str, findings: list[Finding]) -> str:
    """The text with each finding replaced by its kind in brackets, such as ``[e-mail]``."""
    for finding in reversed(findings):
        text = f"{text[: finding.start]}[{finding.kind}]{text[finding.end :]}"
    return text


def find_in_example(
    example: SyntheticExample, task: Task, region: str
) -> tuple[dict[str, Any], set[str]]:
    """What the texts of an example hold: its input, and what the teacher wrote as its output.

    Args:
        example: The example.
        task: Its task; a label is not looked at.
        region: As for :func:`find_personal_data`.

    Returns:
        The fields that hold something, as they are when it is redacted, and the kinds found.
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
    samples = tuple(one.model_copy(update={"text": clean(one.text)}) for one in example.samples)
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
    for match in _CARD.finditer(text):
        if luhn.is_valid(re.sub(r"\D", "", match.group())):
            yield Finding(match.start(), match.end(), "card")


def _phones(text: str, region: str) -> Iterator[Finding]:
    if _SEVEN_DIGITS.search(text):  # the matcher is slow, and most texts have no number
        for match in PhoneNumberMatcher(text, region or None):
            yield Finding(match.start, match.end, "phone")
