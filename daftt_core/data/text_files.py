"""Rows of text files: comma separated, tab separated, and JSON lines."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daftt_core.data.rows import Mistakes, Problem, list_names
from daftt_core.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from _csv import Reader

__all__ = ["Fields", "read_lines"]

# A field beyond this is nearly always the rest of the file, behind a quote that was left open.
_MOST_FIELD_CHARACTERS = 1_000_000
# A file without line ends would be read into memory whole.
_MOST_LINE_BYTES = 2**26
_MALFORMED = "malformed row"
_SEPARATOR_LINE = re.compile(r"sep=([,;|\t])[\r\n]*")  # which spreadsheets write above the header
_NO_SEPARATOR = "\x1f"  # of a table of one column: a character that no text holds
_SAVE_AS_UTF8 = (
    "save it as UTF-8, which a spreadsheet offers where it saves CSV "
    "({}iconv -f {} -t UTF-8 OLD > NEW)"
)
_FROM_WINDOWS = _SAVE_AS_UTF8.format("of a file from Windows: ", "WINDOWS-1252")
_FROM_UTF16 = _SAVE_AS_UTF8.format("or: ", "UTF-16")

Fields = Iterator[tuple[int, Mapping[str, object]]]
"""Rows with the line, or the number, of each."""


def read_lines(path: Path, columns: Sequence[str], mistakes: Mistakes) -> Fields:
    """The fields of every row of a ``.csv``, ``.tsv`` or ``.jsonl`` file, with its line.

    Args:
        path: The file.
        columns: Those that each row must have; none: a table's header must only name each of its
            columns once.
        mistakes: Gets the rows that cannot be read.

    Raises:
        DataError: The file as a whole cannot be read.
        OSError: Likewise.
    """
    lines = _lines(path, mistakes)
    if path.suffix.lower() == ".jsonl":
        return _json_fields(lines, columns, mistakes)
    return _table_fields(path, lines, columns, mistakes)


def _lines(path: Path, mistakes: Mistakes) -> Iterator[str]:
    with path.open("rb") as file:
        lines = iter(partial(file.readline, _MOST_LINE_BYTES + 1), b"")
        for number, raw in enumerate(lines, start=1):
            if len(raw) > _MOST_LINE_BYTES:
                raise DataError(
                    f"{mistakes.file}, line {number}: is longer than {_MOST_LINE_BYTES >> 20} MiB; "
                    "a row must end with a line break"
                )
            line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise DataError(f"{mistakes.file}: is UTF-16; {_FROM_UTF16}")
            if not mistakes.strict:  # such bytes are seen where a text holds them
                yield line.decode("utf-8", "surrogateescape")
                continue
            where = f"{mistakes.file}, line {number}"
            if b"\0" in line:
                raise DataError(f"{where}: holds a NUL byte; the file must be plain UTF-8 text")
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{where}: byte {error.start + 1} ({line[error.start]:#04x}) is not UTF-8; "
                    f"{_FROM_WINDOWS}"
                ) from None


def _reader(lines: Iterator[str], *, is_tsv: bool) -> Reader:
    """The rows of a table; reads the first lines of a ``.csv`` at once, to see what separates."""
    if is_tsv:
        return csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    begin = []
    separator = ""
    for line in lines:
        begin.append(line)
        named = None if separator else _SEPARATOR_LINE.fullmatch(line)
        if named:
            separator, begin[-1] = named[1], "\n"  # a blank line, so that lines keep their numbers
        elif line.strip():
            separator = separator or _separator_in(line)
            break
    return csv.reader(itertools.chain(begin, lines), delimiter=separator or ",", strict=True)


def _separator_in(header: str) -> str:
    """Semicolons stand where the comma is the decimal sign; one column needs no separator."""
    return next((one for one in ",;" if one in header), _NO_SEPARATOR)


def _table(
    lines: Iterator[str], mistakes: Mistakes, *, is_tsv: bool
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, the header first, each with the line on which it begins."""
    reader = _reader(lines, is_tsv=is_tsv)
    has_header = False
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            what = str(error)
            hint = (
                "is a quote left open? (a field that holds separators or quotes must be in "
                "quotes, and quotes inside it are doubled)"
            )
            if what.startswith("new-line character"):
                what = "a carriage return stands alone"
                hint = "a line must end with a line feed, or with both"
            raise DataError(
                f"{mistakes.file}, line {line}: the row that begins here is malformed ({what}); "
                f"{hint}"
            ) from None
        if "".join(values).strip():
            has_header = True
            yield line, values
        elif has_header:
            mistakes.pass_over()


def _table_fields(
    path: Path, lines: Iterator[str], columns: Sequence[str], mistakes: Mistakes
) -> Fields:
    table = _table(lines, mistakes, is_tsv=path.suffix.lower() == ".tsv")
    with _field_limit():
        _, first = next(table, (0, None))
        if first is None:
            return
        header = [name.strip() for name in first]
        mistakes.check_columns(header, columns or filter(None, header))
        for line, values in table:
            if len(values) != len(header):
                found = f"has {len(values)} fields, but the header has {len(header)}"
                mistakes.add(line, Problem(_MALFORMED, found))
            else:
                yield line, dict(zip(header, values, strict=True))


def _json_fields(lines: Iterator[str], columns: Sequence[str], mistakes: Mistakes) -> Fields:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            mistakes.pass_over()
            continue
        fields = _json_object(line, columns)
        if isinstance(fields, str):
            mistakes.add(number, Problem(_MALFORMED, fields))
        else:
            yield number, fields


def _json_object(line: str, columns: Sequence[str]) -> Mapping[str, object] | str:
    """The object on a line, or what is wrong with it."""
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        return f"is not JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:  # a number too long, nesting too deep
        return f"cannot be read as JSON: {error}"
    if not isinstance(fields, dict):
        return 'is not a JSON object such as {"text": "...", "label": "..."}'
    missing = [column for column in columns if column not in fields]
    if missing:
        hint = did_you_mean(missing[0], fields)
        return f"has no {missing[0]!r}{hint} (keys found: {list_names(fields)})"
    return fields


@contextmanager
def _field_limit() -> Iterator[None]:
    before = csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)
