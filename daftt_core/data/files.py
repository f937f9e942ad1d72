"""Reads a user's data files: what a row must hold, and the place of every mistake.

``.csv`` is comma separated with RFC 4180 quoting. ``.tsv`` follows the registered media type
text/tab-separated-values: tabs separate, one row a line, and quotes are ordinary characters.
``.jsonl`` holds one JSON object a line. All are UTF-8, with or without a byte order mark.
``.parquet`` and ``.arrow`` are read as :mod:`daftt_core.data.columnar_files` says. ``.json`` is a
list of objects, one object a line, or a task of Super-NaturalInstructions.

A user's labelled files are read strictly: a row that cannot be used is a mistake. Inputs without
outputs may be a hundred million, and nobody can edit a public data set: there, such a row is left
out and counted.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from daftt_core.data.columnar_files import read_columns
from daftt_core.data.locate import DataFile
from daftt_core.data.rows import UNKNOWN_LABEL, Fields, Mistakes, Row, RowError, list_names, unit_of
from daftt_core.data.sni import parse_task
from daftt_core.data.text_files import read_json_file, read_lines
from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import Example, composed, digest, normalize
from daftt_core.tasks import NO_LABEL, Task
from daftt_core.telemetry import log

COLUMNAR = (".parquet", ".arrow")
"""Endings of files that give only the columns that are asked for."""

_TEXT_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
_MAX_PREVIEW_ROWS = 100_000
_NOTHING = "no input"
_FOR_THE_TEACHER = "rows that have none yet go into a file of their own, for data_unlabelled"
_FOR_NO_LABEL = f"write {NO_LABEL!r} where no label applies"
_MAX_SLICE_CHARACTERS = 60
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_RAW_BYTE = re.compile("[\udc80-\udcff]")  # so a byte that is not UTF-8 is decoded


def read_file(
    file: DataFile,
    task: Task,
    setting: str,
    left_out: Counter[str],
    *,
    with_output: bool,
    strict: bool,
    may_lack_output: bool = False,
    slice_column: str = "",
) -> Iterator[Row]:
    """Read the examples of a file, one by one.

    Args:
        file: The file.
        task: Says which columns hold the input and the output, and which labels are allowed.
        setting: The parameter that named the file, for messages.
        left_out: Counts the rows that are left out, by reason.
        with_output: Whether each row must have an output; if not, outputs are not looked at.
        strict: Whether every row must be right; if not, what cannot be used is left out.
        may_lack_output: Whether a row without an output is an example whose output is unknown; if
            not, it cannot be used.
        slice_column: A column whose values are kept beside the examples; empty: none.

    Raises:
        DataError: The file cannot be used; names up to ten rows and what is wrong there.
    """
    mistakes = Mistakes(f"{setting}: {file.name}", strict, unit_of(file.path.name), left_out)
    names = [task.columns.text, task.columns.text_pair]
    names += [task.columns.output if with_output else None, slice_column]
    columns = list(dict.fromkeys(name for name in names if name))
    may_lack = [task.columns.output] if may_lack_output else []
    try:
        for line, fields in read_fields(file.path, task, columns, mistakes, may_lack):
            if all(is_blank(fields[column]) for column in columns):
                mistakes.pass_over()
                continue
            reads_output = with_output and not (
                may_lack_output and is_blank(fields[task.columns.output])
            )
            try:
                example = example_of(fields, task, reads_output)
                slice_value = (
                    _slice_value(fields[slice_column], slice_column) if slice_column else ""
                )
            except RowError as error:
                mistakes.add(line, error)
            else:
                yield Row(example, file.name, line, slice_value)
    except FileNotFoundError:
        raise DataError(f"{mistakes.file}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{mistakes.file}: cannot be read: {error.strerror}") from None
    mistakes.check()


def look_at(path: Path) -> dict[str, list[str]]:
    """Return the first 100,000 rows of a file by column, read as strictly as a run reads them.

    Args:
        path: A ``.csv``, ``.tsv``, ``.jsonl`` or ``.json`` file; its task is not described yet.

    Returns:
        The values of each column as text, as a run reads that of a label; empty where a row has
        JSON's null or lacks the column.

    Raises:
        DataError: The file cannot be used, or has no rows; names up to ten rows and what is wrong.
    """
    if path.suffix.lower() not in _TEXT_SUFFIXES:
        raise DataError(f"{path}: its name must end in {', '.join(_TEXT_SUFFIXES)}")
    mistakes = Mistakes(str(path), unit=unit_of(path.name))
    try:
        fields_of_rows = read_fields(path, None, (), mistakes, ())
        rows = [
            {name: as_cell(value) for name, value in fields.items()}
            for _, fields in itertools.islice(fields_of_rows, _MAX_PREVIEW_ROWS)
        ]
        if next(fields_of_rows, None):
            log.info("%s: looked at its first %d rows", path, _MAX_PREVIEW_ROWS)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    mistakes.check()
    names = dict.fromkeys(name for row in rows for name in row if name.strip())
    if not names:
        raise DataError(f"{path}: has no rows with columns")
    return {name: [row.get(name, "") for row in rows] for name in names}


def as_cell(value: object) -> str:
    """Return a field as text: empty where it is missing, and JSON where it is not text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def try_reading(path: Path, task: Task) -> None:
    """Read the rows that :func:`look_at` read as a run reads its ``data_train``.

    Raises:
        DataError: The task cannot read them; names up to ten rows and what is wrong.
    """
    rows = read_file(
        DataFile(str(path), path),
        task,
        "--data",
        Counter(),
        with_output=True,
        strict=True,
        may_lack_output=True,
    )
    deque(itertools.islice(rows, _MAX_PREVIEW_ROWS), maxlen=0)


def read_fields(
    path: Path,
    task: Task | None,
    columns: Sequence[str],
    mistakes: Mistakes,
    may_lack: Sequence[str] = (),
) -> Fields:
    """Yield the fields of every row of a file, with its line or number.

    Args:
        path: The file; the ending of its name says how it is read.
        task: Says which columns hold the instances of a task of Super-NaturalInstructions.
        columns: The columns that each row must have.
        mistakes: Collects the rows that cannot be read.
        may_lack: The columns that count as empty where a row lacks them.

    Raises:
        DataError: The file as a whole cannot be read.
        OSError: Likewise.
    """
    suffix = path.suffix.lower()
    if suffix in COLUMNAR:
        return read_columns(path, columns, mistakes)
    if suffix == ".json":

        def read_task(content: bytes) -> Fields:
            return _instances(content, task, columns, mistakes)

        return read_json_file(path, columns, mistakes, may_lack, read_task)
    return read_lines(path, columns, mistakes, may_lack)


def _instances(
    content: bytes, task: Task | None, columns: Sequence[str], mistakes: Mistakes
) -> Fields:
    """Yield the instances of a task file; one with several outputs is as many rows."""
    names = ("input", "output")
    if task:
        if task.columns.text_pair:
            raise DataError(
                f"{mistakes.file}: an instance has one input, but the task's inputs are pairs; "
                "write them into a file with two columns"
            )
        names = (task.columns.text, task.columns.output)
        mistakes.check_columns(names, columns)
    for number, instance in enumerate(parse_task(content, mistakes.file).instances, start=1):
        outputs = instance.output if not columns or names[1] in columns else []
        for output in outputs or [""]:
            yield number, dict(zip(names, (instance.input, output), strict=True))


def is_blank(value: object) -> bool:
    """Return whether a field is missing or holds only white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def example_of(fields: Mapping[str, object], task: Task, with_output: bool = False) -> Example:
    """Return the example in a row; outputs are looked at only ``with_output``.

    Raises:
        RowError: The row cannot be used.
    """
    columns = task.columns
    text = text_of(fields[columns.text], columns.text)
    pair = columns.text_pair and text_of(fields[columns.text_pair], columns.text_pair)
    if not with_output:
        return Example.of(text, pair)
    value = fields[columns.output]
    try:
        output = _labels(value, task) if task.is_classification else text_of(value, columns.output)
    except RowError as error:
        if error.reason == _NOTHING:
            hint = f"{_FOR_NO_LABEL}; " if task.is_multilabel else ""
            raise RowError(_NOTHING, f"{error.message}; {hint}{_FOR_THE_TEACHER}") from None
        raise
    return Example.of(text, pair, output=output)


def text_of(value: object, column: str) -> str:
    """Return a text without white space around it.

    Raises:
        RowError: It is not text, or empty.
    """
    if value is None:
        raise RowError(_NOTHING, f"has no {column!r}")
    if not isinstance(value, str):
        shown = json.dumps(value, default=str)[:40]
        raise RowError("not text", f"{column!r} must be text, not {shown}")
    if _NO_TEXT.search(value):
        if _RAW_BYTE.search(value):
            raise RowError("not UTF-8", f"{column!r} holds bytes that are not UTF-8")
        problem = f"{column!r} holds a NUL or half a surrogate pair, which is no text"
        raise RowError("not text", problem)
    text = value.strip()
    if not text or not (text.isascii() or normalize(text)):
        raise RowError(_NOTHING, f"has no {column!r}")
    return text


def _as_text(value: object) -> object:
    """Return numbers and truth values as they are written in JSON, which knows no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _slice_value(value: object, column: str) -> str:
    """Return a value on one line that a table can show.

    A long value is cut and gets a digest of the whole, because others may begin like it.
    """
    if value is None or (isinstance(value, str) and not normalize(value)):
        return ""
    text = composed(" ".join(text_of(_as_text(value), column).split()))
    if len(text) > _MAX_SLICE_CHARACTERS:
        mark = f"... ({digest(text, length=8)})"
        text = text[: _MAX_SLICE_CHARACTERS - len(mark)] + mark
    return text


def _labels(value: object, task: Task) -> str:
    """Return the output that a field states: a label, or several of a multi-label task."""
    if task.is_multilabel and isinstance(value, list):
        value = json.dumps(value, default=str)
    cell = text_of(_as_text(value), task.columns.output)
    return task.output_of([_label(spelling, task) for spelling in task.labels_in(cell)])


def _label(spelling: str, task: Task) -> str:
    label = task.label_for(spelling)
    if label is None:
        spellings = [name for label in task.labels for name in (label.name, *label.aliases)]
        raise RowError(
            UNKNOWN_LABEL,
            f"the label {spelling[:40]!r} is not known{did_you_mean(spelling, spellings)} "
            f"(allowed: {list_names(spellings)})",
        )
    return label
