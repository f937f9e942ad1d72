"""The questions of ``daftt task new`` about a file of examples; a wrong answer is asked again."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click

from daftt_core.errors import ConfigError, DafttError, DataError, did_you_mean, shortened
from daftt_core.records import is_character, visible, words_of
from daftt_core.tasks import (
    MOST_ID_CHARACTERS,
    MOST_LABELS,
    Task,
    propose_columns,
    propose_kind,
    propose_outputs,
    several_labels,
    spelling,
    spoken,
)

KINDS: tuple[str, ...] = get_args(Task.model_fields["kind"].annotation)
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

_Table = Mapping[str, Sequence[str]]
_Check = Callable[[str], str]
"""Returns an answer, or raises a DafttError that says what is wrong with it."""


class Answers(NamedTuple):
    """What was answered or proposed.

    Attributes:
        fields: Fields of the task's file.
        notes: Sentences that a person should read before using it.
    """

    fields: dict[str, Any]
    notes: list[str]


class _Questions:
    """Gets answers: from options, else from a person, or with ``yes`` from the proposals."""

    def __init__(self, options: Mapping[str, Any], *, yes: bool) -> None:
        self._options, self._yes = options, yes

    def option(self, name: str) -> str | None:
        return self._options.get(name)

    def ask(
        self, name: str, question: str, proposed: str | None, check: _Check, missing: str = ""
    ) -> str:
        """Return the checked answer to a question.

        Args:
            name: Name of the option that may answer it.
            question: The question, for a person.
            proposed: The proposal; None where there is none.
            check: Checks the answer.
            missing: Says why nothing is proposed, and which option to use.
        """
        if self._options.get(name) is not None:
            return check(str(self._options[name]))
        if not self._yes:
            return _prompt(question, proposed, check)
        if proposed is None:
            raise ConfigError(missing)
        return check(proposed)


def ask_fields(
    file: Path,
    table: _Table,
    words: Mapping[str, str],
    options: Mapping[str, Any],
    check: Callable[[dict[str, Any]], None],
    *,
    yes: bool,
) -> Answers:
    """Ask for the fields of a task's file.

    Args:
        file: Where it will be; its name becomes the task's id.
        table: The examples, by column.
        words: Names of values in the output column.
        options: Answers by name; what is None is asked.
        check: Raises a DafttError where the fields make no task, or none that can read the
            examples. It is called before the questions about instructions.
        yes: Accept every proposal instead of asking.

    Raises:
        ConfigError: An option is wrong, or a needed one is missing.
        DataError: Likewise; or the examples do not make a task.
    """
    questions = _Questions(options, yes=yes)
    columns = _columns(table, questions)
    column = columns["output"]
    outputs = [value for value in table[column] if spelling(value)]
    if len(set(map(spelling, outputs))) < 2:
        content = f"{shortened(outputs[0])!r} in every row" if outputs else "nothing"
        raise DataError(f"the column {column!r} holds {content}; there is nothing to learn")
    kind = _kind(column, outputs, questions, words)
    fields: dict[str, Any] = {"id": _slug(file.stem), "kind": kind, "columns": columns}
    notes = _notes_on_columns(table, columns, len(outputs))
    if kind == "classification":
        labels = _Labels(column, outputs, words)
        if not yes:
            labels.ask_meanings()
        fields["labels"] = labels.fields()
        notes += labels.notes()
        answer, write = f"Read this text and answer with {labels.listed()}.", "this answer"
    elif words:
        raise ConfigError("--label: a text2text task has no labels")
    else:
        answer, write = "Read this text and write the answer to it.", "an answer"
    proposals = {
        "description": ("The task in one sentence", answer),
        "definition": ("Instruction for answering an input", answer),
        "writing_definition": ("Instruction for writing an input", f"Write a text with {write}."),
    }
    check(fields | {name: proposed for name, (_, proposed) in proposals.items()})
    for name, (question, proposed) in proposals.items():
        fields[name] = questions.ask(name, question, proposed, _check_text)
    return Answers(fields, notes)


def _columns(table: _Table, questions: _Questions) -> dict[str, str]:
    columns: dict[str, str] = {}

    def check(chosen: str) -> str:
        if chosen not in table:
            known = ", ".join(map(repr, table))
            hint = did_you_mean(chosen, table)
            raise DataError(f"there is no column {chosen!r}{hint} (columns found: {known})")
        if chosen in columns.values():
            raise DataError(f"the column {chosen!r} serves as another one already")
        return chosen

    def check_if_any(chosen: str) -> str:
        return chosen and check(chosen)

    proposed = propose_columns(table, questions.option("output"))
    columns["text"] = questions.ask("text", "Column of the input", proposed.text, check)
    second = proposed.text_pair
    if second is None or second in columns.values():
        second = ""
    pair = questions.ask("text_pair", "Column of a second input, if any", second, check_if_any)
    if pair:
        columns["text_pair"] = pair
    choice = propose_outputs(table, columns.values())
    if not choice:
        raise DataError("no column is left for the label or text to be given")
    question, names = "Column of the label or text to be given", " or ".join(map(repr, choice))
    missing = (
        f"which column holds the label or text to be given, {names}? The data do not say; "
        "give --output COLUMN"
    )
    if len(choice) > 1:
        question += f" ({names})"
    only = choice[0] if len(choice) == 1 else None
    columns["output"] = questions.ask("output", question, only, check, missing)
    return columns


def _kind(
    column: str, outputs: Sequence[str], questions: _Questions, words: Mapping[str, str]
) -> str:
    """Return the kind of task; cells with several labels are a DataError."""
    proposed, option = propose_kind(outputs), questions.option("kind")
    if option != "text2text":
        divided = several_labels(outputs)
        several = {cell: divided[cell] for cell in divided if spelling(cell) not in words}
        labels = [label for cell in outputs for label in divided.get(cell, [cell])]
        as_labels = "classification" in (option, proposed, propose_kind(labels))
        if several and as_labels:
            most = max(several, key=lambda cell: (len(several[cell]), cell))
            rows = sum(cell in several for cell in outputs)
            raise DataError(
                f"the column {column!r} holds several labels in one cell, such as "
                f"{shortened(most)!r}, in {rows} of {len(outputs)} rows; an example has one label: "
                "keep one in each cell, or give --label VALUE=WORDS for each value that is one "
                "label as it is"
            )
    different = len(set(map(spelling, outputs)))
    holds = f"{different} different values in {len(outputs)} rows"
    return questions.ask(
        "kind",
        f"Kind: {' or '.join(KINDS)}" + ("" if proposed else f" ({holds})"),
        proposed,
        _check_kind,
        f"are the {holds} of the column {column!r} labels or texts? The data do not say; "
        "give --kind classification or --kind text2text",
    )


def _notes_on_columns(table: _Table, columns: Mapping[str, str], outputs: int) -> list[str]:
    rows = len(next(iter(table.values())))
    unused = [name for name in table if name not in columns.values()]
    notes = [f"Columns that are not used: {', '.join(map(repr, unused))}."] if unused else []
    if outputs < rows:
        notes.append(
            f"{rows - outputs} of {rows} rows have nothing in {columns['output']!r}; a run takes "
            "them for its unlabelled inputs."
        )
    return notes


def _check_kind(chosen: str) -> str:
    if chosen not in KINDS:
        hint = did_you_mean(chosen, KINDS)
        raise ConfigError(f"the kind must be {' or '.join(KINDS)}, not {chosen!r}{hint}")
    return chosen


def _check_text(text: str) -> str:
    if not text.strip():
        raise ConfigError("must hold more than white space")
    return text


class _Labels:
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

    def ask_meanings(self) -> None:
        """Ask what each label means that is no word."""

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
                self._words[value] = _prompt(question, name, check)

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
            return f"one of {', '.join(quoted)}"
        return f"one of {len(quoted)} labels, such as {', '.join(quoted[:3])}"

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


def _prompt(question: str, proposed: str | None, check: _Check) -> str:
    """Ask until the answer passes its check; an empty answer takes the proposal, if any."""

    def read(answer: str) -> str:
        try:
            return check(answer.strip())
        except DafttError as error:
            raise click.UsageError(visible(str(error))) from None

    # not shown by click, as the proposal comes from a file
    shown = visible(question if proposed is None else f"{question} [{proposed}]")
    return str(click.prompt(shown, default=proposed, show_default=False, value_proc=read))


def _slug(text: str) -> str:
    letters = (c if c.isascii() and c.isalnum() else "-" for c in text.casefold())
    parts = "-".join(part for part in "".join(letters).split("-") if part)
    return parts[:MOST_ID_CHARACTERS].rstrip("-") or "task"
