"""Reading a user's data files: strictly, and naming the line of every mistake.

``.csv`` is comma separated with RFC 4180 quoting. ``.tsv`` follows the registered media type
text/tab-separated-values: tabs separate, one row a line, and quotes are ordinary characters.
``.jsonl`` holds one JSON object a line. All are UTF-8, with or without a byte order mark.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from daftt_core.data.places import DataFile
from daftt_core.data.rows import Mistakes, Row
from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import Example, normalize
from daftt_core.tasks import Task

__all__ = ["SUFFIXES", "read_file"]

SUFFIXES = (".csv", ".tsv", ".jsonl")

# A field beyond this is nearly always the rest of the file, behind a quote that was left open.
_MOST_FIELD_CHARACTERS = 1_000_000
_MOST_NAMES = 20  # in a message
_MOST_SLICE_CHARACTERS = 60

_Fields = Iterator[tuple[int, Mapping[str, object]]]


def read_file(
    file: DataFile,
    task: Task,
    setting: str,
    *,
    with_output: bool,
    slice_column: str = "",
    needed: bool = True,
) -> list[Row]:
    """Read the examples of a file.

    Args:
        file: A ``.csv``, ``.tsv`` or ``.jsonl`` file.
        task: Says which columns hold the input and the output, and which labels are allowed.
        setting: The parameter that named the file, for messages.
        with_output: Whether each row must have an output; if not, outputs are not looked at.
        slice_column: A column whose values are kept beside the examples; empty: none.
        needed: Whether it must hold a row.

    Raises:
        DataError: The file cannot be used; names up to ten lines and what is wrong there.
    """
    path, mistakes = file.path, Mistakes(f"{setting}: {file.name}")
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{mistakes.file}: its name must end in {', '.join(SUFFIXES)}")
    wanted = [task.columns.text, task.columns.text_pair]
    wanted += [task.columns.output if with_output else None, slice_column]
    columns = list(dict.fromkeys(name for name in wanted if name))
    rows = []
    try:
        with _field_limit():
            for line, fields in _fields(path, columns, mistakes):
                example = _example(fields, task, with_output)
                value, problem = _slice_value(fields.get(slice_column), slice_column)
                if isinstance(example, str) or problem:
                    mistakes.add(line, example if isinstance(example, str) else problem)
                else:
                    rows.append(Row(example, file.name, line, value))
    except FileNotFoundError:
        raise DataError(f"{mistakes.file}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{mistakes.file}: cannot be read: {error.strerror}") from None
    mistakes.check()
    if not rows and needed:
        raise DataError(f"{mistakes.file}: is empty; it must hold at least one example")
    return rows


@contextmanager
def _field_limit() -> Iterator[None]:
    before = csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _fields(path: Path, columns: list[str], mistakes: Mistakes) -> _Fields:
    lines = _lines(path, mistakes)
    if path.suffix.lower() == ".jsonl":
        return _json_fields(lines, columns, mistakes)
    table = _table(lines, mistakes, is_tsv=path.suffix.lower() == ".tsv")
    return _table_fields(table, columns, mistakes)


def _lines(path: Path, mistakes: Mistakes) -> Iterator[str]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            where = f"{mistakes.file}, line {number}"
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise DataError(f"{mistakes.file}: is UTF-16; save it as UTF-8")
            if b"\0" in line:
                raise DataError(f"{where}: holds a NUL byte; the file must be plain UTF-8 text")
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{where}: byte {error.start + 1} ({line[error.start]:#04x}) is not UTF-8; "
                    "save the file as UTF-8"
                ) from None


def _table(
    lines: Iterator[str], mistakes: Mistakes, *, is_tsv: bool
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line on which it begins."""
    if is_tsv:
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{mistakes.file}, line {line}: the row that begins here is malformed ({error}); "
                "is a quote left open? (a field that holds commas or quotes must be in quotes, "
                "and quotes inside it are doubled)"
            ) from None
        if values:
            yield line, values


def _table_fields(
    table: Iterator[tuple[int, list[str]]], columns: list[str], mistakes: Mistakes
) -> _Fields:
    _, first = next(table, (0, None))
    if first is None:
        return
    header = [name.strip() for name in first]
    for column in columns:
        if header.count(column) != 1:
            problem = f"there is no column {column!r}{did_you_mean(column, header)}"
            if column in header:
                problem = f"there are {header.count(column)} columns {column!r}"
            raise DataError(
                f"{mistakes.file}: {problem} (columns found: {_names(header)}; "
                "the task's 'columns' say which ones are read)"
            )
    for line, values in table:
        if len(values) != len(header):
            mistakes.add(line, f"has {len(values)} fields, but the header has {len(header)}")
        else:
            yield line, dict(zip(header, values, strict=True))


def _json_fields(lines: Iterator[str], columns: list[str], mistakes: Mistakes) -> _Fields:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as error:
            mistakes.add(number, f"is not JSON: {error.msg} at column {error.colno}")
            continue
        except (ValueError, RecursionError) as error:  # a number too long, nesting too deep
            mistakes.add(number, f"cannot be read as JSON: {error}")
            continue
        if not isinstance(fields, dict):
            mistakes.add(number, 'is not a JSON object such as {"text": "...", "label": "..."}')
            continue
        missing = [column for column in columns if column not in fields]
        if missing:
            hint = did_you_mean(missing[0], fields)
            mistakes.add(number, f"has no {missing[0]!r}{hint} (keys found: {_names(fields)})")
            continue
        yield number, fields


def _example(fields: Mapping[str, object], task: Task, with_output: bool) -> Example | str:
    """The example that a row holds, or what is wrong with it."""
    inputs = []
    for column in (task.columns.text, task.columns.text_pair):
        if column is not None:
            text, problem = _text(fields[column], column)
            if problem:
                return problem
            inputs.append(text)
    if not with_output:
        return Example.of(*inputs)
    find_output = _label if task.is_classification else _target
    output, problem = find_output(fields[task.columns.output], task)
    return problem or Example.of(inputs[0], inputs[1] if len(inputs) > 1 else None, output=output)


def _text(value: object, column: str) -> tuple[str, str]:
    """A text without white space around it, and what is wrong with it, if anything."""
    if value is None:
        return "", f"has no {column!r}"
    if not isinstance(value, str):
        return "", f"{column!r} must be text, not {json.dumps(value)[:40]}"
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return "", f"{column!r} holds a NUL or half a surrogate pair, which is no text"
    return value.strip(), "" if normalize(value) else f"has no {column!r}"


def _slice_value(value: object, column: str) -> tuple[str, str]:
    """A value on one line and cut to what a table can show, and what is wrong with it."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)[:_MOST_SLICE_CHARACTERS], ""
    if value is None or (isinstance(value, str) and not normalize(value)):
        return "", ""
    text, problem = _text(value, column)
    return " ".join(text.split())[:_MOST_SLICE_CHARACTERS], problem


def _target(value: object, task: Task) -> tuple[str, str]:
    return _text(value, task.columns.output)


def _label(value: object, task: Task) -> tuple[str, str]:
    spelling = json.dumps(value) if isinstance(value, bool | int | float) else value
    spelling, problem = _text(spelling, task.columns.output)
    label = task.label_for(spelling)
    if problem or label is not None:
        return label or "", problem
    spellings = [s for label in task.labels for s in (label.name, *label.aliases)]
    return "", (
        f"the label {spelling[:40]!r} is not known{did_you_mean(spelling, spellings)} "
        f"(allowed: {_names(spellings)})"
    )


def _names(names: Iterable[str]) -> str:
    known = [repr(name) for name in names]
    return ", ".join(known[:_MOST_NAMES]) + (", ..." if len(known) > _MOST_NAMES else "")
