"""Inputs for a finished model, read one by one: rows of a data file, or texts, one a line.

They are read as strictly as labelled files, because an answer that is missing is noticed late: a
row that cannot be used is a mistake. Blank lines and rows are no inputs and are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from daftt_core.data.files import COLUMNAR, as_cell, example_of, is_blank, read_fields, text_of
from daftt_core.data.locate import SUFFIXES
from daftt_core.data.rows import MALFORMED, Mistakes, RowError, list_names, unit_of
from daftt_core.data.text_files import decode_stream
from daftt_core.errors import ConfigError, DataError, did_you_mean
from daftt_core.records import Example
from daftt_core.tasks import Task


@dataclass(frozen=True, slots=True)
class Input:
    """An input without its output.

    Attributes:
        example: The input.
        line: The line on which its row begins, or the row's number where a file has no lines;
            counted from 1.
        kept: Values of the columns that go along with it, by their names.
    """

    example: Example
    line: int
    kept: dict[str, str]


def is_table(path: Path) -> bool:
    """Return whether a file has columns, by its name; any other has one text a line."""
    return path.name.lower().endswith(SUFFIXES)


def read_table(path: Path, task: Task, keep: Sequence[str] = ()) -> Iterator[Input]:
    """Read the inputs of a data file.

    Args:
        path: The file; :func:`is_table` says whether it is one.
        task: Says which columns hold the input.
        keep: Other columns whose values go along.

    Raises:
        DataError: The file cannot be used; names up to ten rows and what is wrong there.
    """
    mistakes = Mistakes(str(path), unit=unit_of(path.name))
    needed = [name for name in (task.columns.text, task.columns.text_pair) if name]
    is_columnar = path.name.lower().endswith(COLUMNAR)
    columns = list(dict.fromkeys([*needed, *(keep if is_columnar else ())]))
    try:
        for line, fields in read_fields(path, task, columns, mistakes):
            if all(map(is_blank, fields.values())):
                continue
            try:
                yield Input(example_of(fields, task), line, _kept(fields, keep))
            except RowError as error:
                mistakes.add(line, error)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    mistakes.check()


def _kept(fields: Mapping[str, object], keep: Sequence[str]) -> dict[str, str]:
    for name in keep:
        if name not in fields:
            hint = f"{did_you_mean(name, fields)} (columns found: {list_names(fields)})"
            raise RowError(MALFORMED, f"has no column {name!r}, which --keep names{hint}")
    return {name: as_cell(fields[name]) for name in keep}


def read_texts(file: BinaryIO, name: str, task: Task) -> Iterator[Input]:
    """Read texts, one a line.

    Args:
        file: An open file.
        name: Its name, for messages.
        task: Its inputs must be single texts.

    Raises:
        ConfigError: They are pairs.
        DataError: A line is no text; names it.
        OSError: The file cannot be read.
    """
    columns = task.columns
    if columns.text_pair:
        raise ConfigError(
            f"{name}: has one text a line, but an input of the task {task.id} is two texts; give a "
            f"file with the columns {columns.text!r} and {columns.text_pair!r} "
            f"({', '.join(SUFFIXES)})"
        )
    for number, line in enumerate(decode_stream(file, Mistakes(name)), start=1):
        if is_blank(line):
            continue
        try:
            text = text_of(line, columns.text)
        except RowError as error:  # in a stream others may be hours away
            raise DataError(f"{name}, line {number}: {error.message}") from None
        yield Input(Example.of(text), number, {})
