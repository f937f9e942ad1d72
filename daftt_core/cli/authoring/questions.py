"""The questions of ``daftt task new`` about a file of examples; a wrong answer is asked again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from daftt_core.cli.authoring.labels import Check, Labels
from daftt_core.errors import ConfigError, DafttError, DataError, did_you_mean, shortened
from daftt_core.records import visible
from daftt_core.tasks import (
    MOST_ID_CHARACTERS,
    Task,
    labels_in,
    propose_columns,
    propose_kind,
    propose_outputs,
    propose_separator,
    several_labels,
    spelling,
)

KINDS: tuple[str, ...] = get_args(Task.model_fields["kind"].annotation)
_KINDS = f"{', '.join(KINDS[:-1])} or {KINDS[-1]}"
_Table = Mapping[str, Sequence[str]]


class _Questions:
    """Gets answers: from options, else from a person, or with ``yes`` from the proposals."""

    def __init__(self, options: Mapping[str, Any], *, yes: bool) -> None:
        self._options, self._yes = options, yes

    def option(self, name: str) -> str | None:
        return self._options.get(name)

    def ask(
        self, name: str, question: str, proposed: str | None, check: Check, missing: str = ""
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
) -> tuple[dict[str, Any], list[str]]:
    """Ask for the fields of a task's file.

    Args:
        file: Where it will be; its name becomes the task's id.
        table: The examples, by column.
        words: Names of values in the output column.
        options: Answers by name; what is None is asked.
        check: Raises a DafttError where the fields make no task, or none that can read the
            examples. It is called before the questions about instructions.
        yes: Accept every proposal instead of asking.

    Returns:
        The fields, and sentences that a person should read before using the file.

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
    kind, several = _kind(column, outputs, questions, words)
    fields: dict[str, Any] = {"id": _slug(file.stem), "kind": kind, "columns": columns}
    notes = _notes_on_columns(table, columns, len(outputs))
    if kind != "text2text":
        if kind == "multilabel":
            separator = propose_separator(several)
            if several:
                columns["separator"] = separator
            outputs = [label for cell in outputs for label in labels_in(cell, separator)]
            _check_lists(column, outputs)
        labels = Labels(column, outputs, words)
        if not yes:
            labels.ask_meanings(_prompt)
        fields["labels"] = labels.fields()
        notes += labels.notes()
        answer, write = f"Read this text and answer with one of {labels.listed()}.", "this answer"
        if kind == "multilabel":
            answer = f"Read this text and say which labels apply: any of {labels.listed()}."
            write = "these labels"
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
    return fields, notes


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
) -> tuple[str, Collection[str]]:
    """Return the kind of task, and the cells that hold several labels."""
    proposed, option = propose_kind(outputs), questions.option("kind")
    divided = several_labels(outputs)
    several = {cell: divided[cell] for cell in divided if spelling(cell) not in words}
    labels = [label for cell in outputs for label in divided.get(cell, [cell])]
    if several and "classification" in (option, proposed, propose_kind(labels)):
        proposed = "multilabel"

    def check(chosen: str) -> str:
        if _check_kind(chosen) == "classification" and several:
            most = max(several, key=lambda cell: (len(several[cell]), cell))
            rows = sum(cell in several for cell in outputs)
            raise DataError(
                f"the column {column!r} holds several labels in one cell, such as "
                f"{shortened(most)!r}, in {rows} of {len(outputs)} rows; an example of a "
                "classification has one: let the kind be multilabel, keep one in each cell, or "
                "give --label VALUE=WORDS for each value that is one label as it is"
            )
        return chosen

    different = len(set(map(spelling, outputs)))
    holds = f"{different} different values in {len(outputs)} rows"
    kind = questions.ask(
        "kind",
        f"Kind: {_KINDS}" + ("" if proposed else f" ({holds})"),
        proposed,
        check,
        f"are the {holds} of the column {column!r} labels or texts? The data do not say; "
        "give --kind classification or --kind text2text",
    )
    return kind, several


def _check_lists(column: str, labels: Sequence[str]) -> None:
    if broken := [label for label in labels if label.startswith("[")]:
        raise DataError(
            f"the column {column!r} holds {shortened(broken[0])!r}, a list that is not JSON; write "
            'it as ["first", "second"]'
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
        raise ConfigError(f"the kind must be {_KINDS}, not {chosen!r}{hint}")
    return chosen


def _check_text(text: str) -> str:
    if not text.strip():
        raise ConfigError("must hold more than white space")
    return text


def _prompt(question: str, proposed: str | None, check: Check) -> str:
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
