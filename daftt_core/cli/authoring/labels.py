"""The labels in a column of examples: their names, spellings and values, for a new task's file."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daftt_core.errors import ConfigError, DataError, did_you_mean, shortened
from daftt_core.records.words import is_character, words_of
from daftt_core.tasks import MOST_LABELS, spelling, spoken

_WORD = re.compile(r"[^\W\d_]{2}")
_MISSING = frozenset(
    ("nan", "NaN", "NAN", "null", "Null", "NULL", "None", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaT")
)
"""What programs write where a value is missing."""
_INITIALS = {"y": "yes", "n": "no", "t": "true", "f": "false"}
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_MOST_LABEL_CHARACTERS = 200
_MOST_NAMED = 20
_MOST_SHOWN = 5
_FEW_ROWS = 5

Check = Callable[[str], str]
"""Returns an answer, or raises a DafttError that says what is wrong with it."""


class Labels:
    """The labels in a column; spellings that an answer could not tell apart are one label.

    Args:
        column: The column, for messages.
        outputs: Its values, one for each row.
        words: Names of some of the values.

    Raises:
        ConfigError: A name is wrong, or missing for a value that needs one.
        DataError: A value cannot be a label.
    """

    def __init__(self, column: str, outputs: Sequence[str], words: Mapping[str, str]) -> None:
        self._column, self._words = column, dict(words)
        self._counts = Counter(map(spelling, outputs))
        if unknown := [value for value in words if value not in self._counts]:
            hint = did_you_mean(unknown[0], self._counts)
            raise DataError(f"--label: the output column does not hold {unknown[0]!r}{hint}")
        for value, count in self._counts.items():
            if value not in words:
                self._check(value, count)
        if (different := len(self._spellings())) > MOST_LABELS:
            raise DataError(
                f"the column {column!r} holds {different:,} labels; a task has at most "
                f"{MOST_LABELS:,}: join rare ones, or divide the task (--kind text2text is for "
                "texts)"
            )

    def _check(self, value: str, count: int) -> None:
        holds = f"the column {self._column!r} holds {shortened(value)!r}"
        if value in _MISSING:
            raise ConfigError(
                f"{holds} in {count} of {self._counts.total()} rows, as programs write a missing "
                f"value; empty those cells, or give --label '{value}=WORDS' where it is a label"
            )
        if not spoken(_as_words(value)):
            raise ConfigError(
                f"{holds}, which cannot be said; give --label '{value}=WORDS' with what it means"
            )
        if _HALF_PAIR.search(value):
            raise DataError(f"{holds}, half a surrogate pair, which is no text")
        if len(value) > _MOST_LABEL_CHARACTERS:
            raise DataError(
                f"{holds}, which has {len(value)} characters; a label may have "
                f"{_MOST_LABEL_CHARACTERS} (--kind text2text is for texts)"
            )

    def ask_meanings(self, ask: Callable[[str, str, Check], str]) -> None:
        """Ask what each label means that is no word.

        Args:
            ask: Gets the answer to a question that has a proposal and a check.
        """

        def check(meaning: str) -> str:
            if not spoken(meaning):
                raise DataError("a label's meaning must hold a letter or a digit")
            if spoken(meaning) in map(spoken, self._words.values()):
                raise DataError(f"{meaning!r} is already another label's meaning")
            return meaning

        for value in sorted(self._counts):
            name = _as_words(value)
            if value not in self._words and not _is_word(name):
                question = f"What does the label {value!r} mean, in a word or two?"
                self._words[value] = ask(question, name, check)

    def _spellings(self) -> list[list[str]]:
        """Return the values of each label, the most frequent one first."""
        by_sound: defaultdict[str, list[str]] = defaultdict(list)
        for value in sorted(self._counts, key=lambda value: (-self._counts[value], value)):
            by_sound[spoken(self._words.get(value, _as_words(value)))].append(value)
        return sorted(by_sound.values())

    def _names(self) -> dict[str, list[str]]:
        """Return the values of each label, by its name."""
        names = {}
        for values in self._spellings():
            chosen = list(dict.fromkeys(self._words[v] for v in values if v in self._words))
            if len(chosen) > 1:
                raise ConfigError(
                    f"--label: {chosen[0]!r} and {chosen[1]!r} share the verbalizer {chosen[1]!r} "
                    "(case and full stop do not count)"
                )
            names[chosen[0] if chosen else _as_words(values[0])] = values
        if len(names) < 2:
            spellings = " and ".join(map(repr, sorted(self._counts)))
            raise DataError(
                f"the column {self._column!r} holds one label only, written {spellings}; there is "
                "nothing to learn"
            )
        return names

    def fields(self) -> list[dict[str, Any]]:
        """Return the labels as a task's file has them."""
        fields: list[dict[str, Any]] = []
        for name, values in self._names().items():
            aliases = [value for value in values if value != name]
            fields.append(
                {"name": name, "verbalizer": name} | ({"aliases": aliases} if aliases else {})
            )
        return fields

    def listed(self) -> str:
        """Return the labels for an instruction; a few of them where there are many."""
        quoted = [f'"{name}"' for name in self._names()]
        if len(quoted) <= _MOST_NAMED:
            return ", ".join(quoted)
        return f"{len(quoted)} labels, such as {', '.join(quoted[:3])}"

    def notes(self) -> list[str]:
        """Return what a person should know about the labels."""
        names, notes, chosen = self._names(), [], self._words.values()
        unnamed = [[v for v in values if v not in self._words] for values in names.values()]
        if merged := [" = ".join(map(repr, values)) for values in unnamed if len(values) > 1]:
            notes.append(
                f"Spellings of one label: {_first_few(merged)}. Case, blanks, underscores and a "
                "full stop do not count in an answer; --label VALUE=WORDS makes a label of its own "
                "of a value."
            )
        if codes := [repr(name) for name in names if not _is_word(name) and name not in chosen]:
            notes.append(
                f"Labels that are no words: {_first_few(codes)}. The teacher reads words: "
                "--label VALUE=WORDS says what one means."
            )
        by_sound = {spoken(name): name for name in names}
        notes += [
            f"{by_sound[initial]!r} and {by_sound[word]!r} are two labels; "
            f"--label {by_sound[initial]}={by_sound[word]} makes them one."
            for initial, word in _INITIALS.items()
            if initial in by_sound and word in by_sound
        ]
        rows = {name: sum(self._counts[value] for value in names[name]) for name in names}
        if rare := [repr(name) for name in names if rows[name] < _FEW_ROWS]:
            notes.append(
                f"Labels with fewer than {_FEW_ROWS} rows: {_first_few(rare)}. A run stops where "
                "dev and test leave none of a label's rows to learn from."
            )
        return notes


def _as_words(value: str) -> str:
    return spelling(value.replace("_", " "))


def _first_few(texts: Sequence[str]) -> str:
    """Join texts for a sentence, not endlessly many."""
    shown = ", ".join(texts[:_MOST_SHOWN])
    return shown if len(texts) <= _MOST_SHOWN else f"{shown} and {len(texts) - _MOST_SHOWN} more"


def _is_word(label: str) -> bool:
    """Return whether a label is more than a number or a code."""
    return bool(_WORD.search(label)) or any(map(is_character, words_of(label)))
