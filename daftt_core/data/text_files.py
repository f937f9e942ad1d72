"""Rows of text files: comma separated, tab separated, and JSON lines."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from daftt_core.data.json_files import read_json_lines
from daftt_core.data.lines import decode_lines
from daftt_core.data.rows import MALFORMED, Fields, Mistakes, Problem, list_names
from daftt_core.errors import DataError
from daftt_core.records import composed

if TYPE_CHECKING:
    from _csv import Reader

# A field beyond this is nearly always the rest of the file, behind a quote that was left open.
_MOST_FIELD_CHARACTERS = 1_000_000
_SEPARATOR_LINE = re.compile(r"sep=([,;|\t])[\r\n]*")  # which spreadsheets write above the header
_NO_SEPARATOR = "\x1f"  # of a table of one column: a character that no text holds
_QUOTED_NAME = re.compile(r'(^|[,;]) *"(?:[^"]|"")*"')
_MOST_HEADER_CHARACTERS = 10_000  # beyond it no quote is looked for that would close a name
_OPEN_QUOTE = re.compile(r'(^|[,;]) *"')


def read_lines(
    path: Path, columns: Sequence[str], mistakes: Mistakes, may_lack: Sequence[str] = ()
) -> Fields:
    """The fields of every row of a ``.csv``, ``.tsv`` or ``.jsonl`` file, with its line.

    Args:
        path: The file.
        columns: Those that each row must have; none: a table's header must only name each of its
            columns once.
        mistakes: Gets the rows that cannot be read.
        may_lack: Those of the columns that count as empty where an object of ``.jsonl`` lacks them.

    Raises:
        DataError: The file as a whole cannot be read.
        OSError: Likewise.
    """
    if path.suffix.lower() == ".jsonl":
        return read_json_lines(path, columns, mistakes, may_lack)
    return _table_fields(path, decode_lines(path, mistakes), columns, mistakes)


def _reader(lines: Iterator[str], *, is_tsv: bool) -> Reader:
    """The rows of a table; reads the first lines of a ``.csv`` at once, to see what separates."""
    if is_tsv:
        return csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    begin: list[str] = []
    header = separator = outside = ""
    for line in lines:
        begin.append(line)
        named = None if header else _SEPARATOR_LINE.fullmatch(line)
        if named:
            separator, begin[-1] = named[1], "\n"  # a blank line, so that lines keep their numbers
        elif header or line.strip():
            header += line
            outside = _QUOTED_NAME.sub(r"\1", header)
            # a name in quotes may hold line breaks
            if not _OPEN_QUOTE.search(outside) or len(header) > _MOST_HEADER_CHARACTERS:
                break
    # semicolons stand where the comma is the decimal sign; one column needs no separator
    separator = separator or next((one for one in ",;" if one in outside), _NO_SEPARATOR)
    return csv.reader(
        itertools.chain(begin, lines),
        delimiter=separator,
        skipinitialspace=True,  # so that a quote after a blank is one, too
        strict=True,
    )


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
                found = f"has {len(values)} fields, but the header has {len(header)}"
                mistakes.add(line, Problem(MALFORMED, found))
            else:
                yield line, dict(zip(header, values, strict=True))


def _names_columns(values: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row holds the names of the columns, in any order."""
    if len(header) == 1:  # of one word alone, another case may be a text
        return values == header
    names = _fold(header)
    return _fold(values[:1])[0] in names and sorted(_fold(values)) == sorted(names)


def _fold(values: Sequence[str]) -> list[str]:
    return [value.strip().casefold() for value in values]


@contextmanager
def _field_limit() -> Iterator[None]:
    before = csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)
