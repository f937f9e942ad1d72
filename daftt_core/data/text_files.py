"""Rows of text files: comma separated, tab separated, JSON lines, and the forms of ``.json``."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from daftt_core.data.rows import MALFORMED, Fields, Mistakes, RowError, list_names
from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import composed, parse_json

if TYPE_CHECKING:
    from _csv import Reader

# A file without line ends would be read into memory as a whole.
_MAX_LINE_BYTES = 2**26
_SAVE = (
    "save it as UTF-8, which a spreadsheet offers where it saves CSV "
    "({}iconv -f {} -t UTF-8 OLD > NEW)"
)
SAVE_AS_UTF8 = _SAVE.format("of a file from Windows: ", "WINDOWS-1252")
_FROM_UTF16 = _SAVE.format("or: ", "UTF-16")
# A field beyond this is nearly always the rest of the file, behind a quote that was left open.
_MAX_FIELD_CHARACTERS = 1_000_000
_SEPARATOR_LINE = re.compile(r"sep=([,;|\t])[\r\n]*")  # which spreadsheets write above the header
_NO_SEPARATOR = "\x1f"  # of a table of one column: a character that no text holds
_QUOTED_NAME = re.compile(r'(^|[,;]) *"(?:[^"]|"")*"')
_MAX_HEADER_CHARACTERS = 10_000  # beyond it no quote is looked for that would close a name
_OPEN_QUOTE = re.compile(r'(^|[,;]) *"')
_FORMS = (
    "a .json file holds a list of objects, one object a line, or a task of "
    "Super-NaturalInstructions ('Definition' and 'Instances')"
)
_TASK_KEYS = {"Definition", "Instances"}
_MAX_FIRST_LINE_BYTES = 2**20


def decode_lines(path: Path, mistakes: Mistakes) -> Iterator[str]:
    """Yield each line with its end, without byte order marks.

    Args:
        path: The file.
        mistakes: Says whether bytes that are not UTF-8 are a mistake; if not, they become
            surrogates, which are found where a text holds them.

    Raises:
        DataError: The file is not UTF-8, or a line has no end.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        yield from decode_stream(file, mistakes)


def decode_stream(file: BinaryIO, mistakes: Mistakes) -> Iterator[str]:
    """Yield the lines of an open file as :func:`decode_lines` does."""
    lines = iter(partial(file.readline, _MAX_LINE_BYTES + 1), b"")
    for number, raw in enumerate(lines, start=1):
        if len(raw) > _MAX_LINE_BYTES:
            raise DataError(
                f"{mistakes.file}, line {number}: is longer than {_MAX_LINE_BYTES >> 20} MiB; "
                "a row must end with a line break"
            )
        line = raw.removeprefix(codecs.BOM_UTF8)
        if number == 1:
            _refuse_utf16(line, mistakes)
        if not mistakes.strict:
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
                f"{SAVE_AS_UTF8}"
            ) from None


def _refuse_utf16(begin: bytes, mistakes: Mistakes) -> None:
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{mistakes.file}: is UTF-16; {_FROM_UTF16}")


def read_lines(
    path: Path, columns: Sequence[str], mistakes: Mistakes, may_lack: Sequence[str] = ()
) -> Fields:
    """Yield the fields of every row of a ``.csv``, ``.tsv`` or ``.jsonl`` file, with its line.

    Args:
        path: The file.
        columns: The columns that each row must have; none: a table's header must only name each
            of its columns once.
        mistakes: Collects the rows that cannot be read.
        may_lack: The columns that count as empty where an object of ``.jsonl`` lacks them.

    Raises:
        DataError: The file as a whole cannot be read.
        OSError: Likewise.
    """
    if path.suffix.lower() == ".jsonl":
        return _json_lines(path, columns, mistakes, may_lack)
    return _table_fields(path, columns, mistakes)


def _reader(lines: Iterator[str], *, is_tsv: bool) -> Reader:
    """Return a reader of a table; reads the first lines of a ``.csv`` to find its separator."""
    if is_tsv:
        return csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    begin: list[str] = []
    header = separator = outside = ""
    for line in lines:
        begin.append(line)
        separator_line = None if header else _SEPARATOR_LINE.fullmatch(line)
        if separator_line:
            separator, begin[-1] = (
                separator_line[1],
                "\n",
            )  # a blank line, so that lines keep their numbers
        elif header or line.strip():
            header += line
            outside = _QUOTED_NAME.sub(r"\1", header)
            # a name in quotes may hold line breaks
            if not _OPEN_QUOTE.search(outside) or len(header) > _MAX_HEADER_CHARACTERS:
                break
    # semicolons stand where the comma is the decimal sign; one column needs no separator
    separator = separator or next((sign for sign in ",;" if sign in outside), _NO_SEPARATOR)
    return csv.reader(
        itertools.chain(begin, lines),
        delimiter=separator,
        skipinitialspace=True,  # so that a quote after a blank is one, too
        strict=True,
    )


def _table(
    lines: Iterator[str], mistakes: Mistakes, *, is_tsv: bool
) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the rows that are not blank, each with the line it begins on."""
    reader = _reader(lines, is_tsv=is_tsv)
    has_header = False
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = str(error)
            hint = (
                "is a quote left open? (a field that holds separators or quotes must be in "
                "quotes, and quotes inside it are doubled)"
            )
            if problem.startswith("new-line character"):
                problem = "a carriage return stands alone"
                hint = "a line must end with a line feed, or with both"
            raise DataError(
                f"{mistakes.file}, line {line}: the row that begins here is malformed ({problem}); "
                f"{hint}"
            ) from None
        if "".join(values).strip():
            has_header = True
            yield line, values
        elif has_header:
            mistakes.pass_over()


def _table_fields(path: Path, columns: Sequence[str], mistakes: Mistakes) -> Fields:
    table = _table(decode_lines(path, mistakes), mistakes, is_tsv=path.suffix.lower() == ".tsv")
    with _field_limit():
        _, first = next(table, (0, None))
        if first is None:
            return
        header = [composed(name.strip()) for name in first]
        mistakes.check_columns(header, columns or filter(None, header))
        for line, values in table:
            if _names_columns(values, first):
                where = f"{mistakes.file}, line {line}: repeats the header"
                if _fold(values) != _fold(first):
                    raise DataError(
                        f"{where} with its columns in another order ({list_names(values)}), so "
                        "rows after it would be misread; keep files with other columns apart"
                    )
                mistakes.pass_over("repeated header", f"{where}, as where files were joined")
            elif len(values) != len(header):
                problem = f"has {len(values)} fields, but the header has {len(header)}"
                mistakes.add(line, RowError(MALFORMED, problem))
            else:
                yield line, dict(zip(header, values, strict=True))


def _names_columns(values: Sequence[str], header: Sequence[str]) -> bool:
    """Return whether a row holds the names of the columns, in any order."""
    if len(header) == 1:  # of one word alone, another case may be a text
        return values == header
    names = _fold(header)
    return _fold(values[:1])[0] in names and sorted(_fold(values)) == sorted(names)


def _fold(values: Sequence[str]) -> list[str]:
    return [value.strip().casefold() for value in values]


@contextmanager
def _field_limit() -> Iterator[None]:
    before = csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _json_lines(
    path: Path, columns: Sequence[str], mistakes: Mistakes, may_lack: Sequence[str]
) -> Fields:
    for number, line in enumerate(decode_lines(path, mistakes), start=1):
        if not line.strip():
            mistakes.pass_over()
            continue
        try:
            value = parse_json(line)
        except json.JSONDecodeError as error:
            problem = f"is not JSON: {error.msg} at column {error.colno}"
            mistakes.add(number, RowError(MALFORMED, problem))
        except ValueError as error:  # a number too long, nesting too deep, a key twice
            mistakes.add(number, RowError(MALFORMED, f"cannot be read as JSON: {error}"))
        else:
            yield from _checked(number, value, columns, mistakes, may_lack)


def read_json_file(
    path: Path,
    columns: Sequence[str],
    mistakes: Mistakes,
    may_lack: Sequence[str],
    read_task: Callable[[bytes], Fields],
) -> Fields:
    """Yield the rows of a ``.json`` file in any of its forms.

    Args:
        path: The file.
        columns: Keys that each object must have.
        mistakes: Collects the objects that cannot be used.
        may_lack: The columns that count as empty where an object lacks them.
        read_task: Reads the content of a task of Super-NaturalInstructions.

    Raises:
        DataError: The file has none of the forms.
        OSError: It cannot be read.
    """
    if _is_lines(path):
        mistakes.unit = "line"
        yield from _json_lines(path, columns, mistakes, may_lack)
        return
    # a list and a task are one JSON value: they are held in memory
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    _refuse_utf16(content, mistakes)
    if not content.strip():
        return
    value = _whole(content, mistakes)
    if isinstance(value, dict) and _TASK_KEYS & set(value):
        yield from read_task(content)
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from _checked(number, item, columns, mistakes, may_lack)
    else:
        problem = "is one JSON value"
        if isinstance(value, dict):
            problem = f"is one JSON object with the keys {list_names(value)}"
        raise DataError(f"{mistakes.file}: {problem}; {_FORMS}")


def _is_lines(path: Path) -> bool:
    """Return whether the first line that is not blank holds an object that is not a task."""
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_MAX_FIRST_LINE_BYTES), b""):
            if line.strip():
                try:
                    value = parse_json(line.decode("utf-8-sig", "surrogateescape"))
                except json.JSONDecodeError:
                    return False
                except ValueError:
                    return line.lstrip(codecs.BOM_UTF8).startswith(b"{")
                return isinstance(value, dict) and not _TASK_KEYS & set(value)
    return False


def _whole(content: bytes, mistakes: Mistakes) -> Any:
    try:
        # bytes that are not UTF-8 are found where a text holds them
        return parse_json(content.decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{mistakes.file}: is not JSON: {error.msg} at line {error.lineno}, column "
            f"{error.colno}; {_FORMS}"
        ) from None
    except ValueError as error:
        raise DataError(f"{mistakes.file}: cannot be read as JSON: {error}") from None


def _checked(
    number: int,
    value: object,
    columns: Sequence[str],
    mistakes: Mistakes,
    may_lack: Sequence[str],
) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield the fields of an object, or note why it cannot be used."""
    if not isinstance(value, dict):
        problem = 'is not a JSON object such as {"text": "...", "label": "..."}'
        mistakes.add(number, RowError(MALFORMED, problem))
        return
    fields = {composed(name): field for name, field in value.items()}
    for column in columns:
        if column in fields:
            continue
        hint = did_you_mean(column, fields)
        if column in may_lack and not hint:
            fields[column] = None
        else:
            problem = f"has no {column!r}{hint} (keys found: {list_names(fields)})"
            mistakes.add(number, RowError(MALFORMED, problem))
            return
    yield number, fields
