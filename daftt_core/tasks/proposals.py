"""What a file of data suggests about its task: columns, kind and labels, for a person to confirm.

A look at the first rows, and no more: the data stage reads the whole file, strictly.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from daftt_core.errors import DataError
from daftt_core.tasks.task import Columns

if TYPE_CHECKING:
    from _csv import Reader

__all__ = ["SAVE_AS_UTF8", "look_at", "propose_columns", "propose_kind", "table_reader"]

SAVE_AS_UTF8 = (
    "save it as UTF-8, which a spreadsheet offers where it saves CSV (of a file from Windows: "
    "iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW)"
)
"""What to do about a file in another encoding, for messages."""

_MOST_ROWS = 5_000
_MOST_LABELS = 20
_MOST_LABEL_CHARACTERS = 60
_LEAST_OF_EACH = 2
_OUTPUTS = (
    *("label", "labels", "class", "category", "sentiment", "topic", "intent", "target"),
    *("output", "summary", "answer", "response", "completion", "reference"),
    *("queue", "team", "department", "priority", "urgency"),
)
_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("question", "passage"),
    ("question", "context"),
    ("text1", "text2"),
)


def look_at(path: Path) -> dict[str, list[str]]:
    """The first rows of a file, by column.

    Args:
        path: A ``.csv``, ``.tsv`` or ``.jsonl`` file.

    Returns:
        The values of each column that holds text, numbers or truth values; a row that lacks one
        counts as empty there.

    Raises:
        DataError: The file cannot be read, or has no rows.
    """
    read = {".csv": _table, ".tsv": _table, ".jsonl": _objects}.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: its name must end in .csv, .tsv or .jsonl")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(itertools.islice(read(file, path), _MOST_ROWS))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8; {SAVE_AS_UTF8}") from None
    except (csv.Error, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from None
    names = dict.fromkeys(name for row in rows for name in row)
    if not names:
        raise DataError(f"{path}: has no rows with columns")
    return {name: [row.get(name, "") for row in rows] for name in names}


def table_reader(lines: Iterable[str], *, is_tsv: bool) -> Reader:
    """The rows of a ``.csv`` or ``.tsv`` file; reads the first line of a ``.csv`` at once.

    Its fields are separated by semicolons where its first line has these and no comma: so
    spreadsheets write it where the comma is the decimal sign.

    Args:
        lines: The file's lines.
        is_tsv: Whether tabs separate the fields, and a quote is a letter like others.
    """
    if is_tsv:
        return csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    rest = iter(lines)
    header = list(itertools.islice(rest, 1))
    separator = ";" if ";" in "".join(header) and "," not in "".join(header) else ","
    return csv.reader(itertools.chain(header, rest), delimiter=separator, strict=True)


def _table(lines: Iterable[str], path: Path) -> Iterator[dict[str, str]]:
    reader = table_reader(lines, is_tsv=path.suffix.lower() == ".tsv")
    header = [name.strip() for name in next(reader, [])]
    return (dict(zip(header, row, strict=False)) for row in reader if row)


def _objects(lines: Iterable[str], path: Path) -> Iterator[dict[str, str]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = json.loads(line)
        if not isinstance(fields, dict):
            raise DataError(f"{path}, line {number}: is not a JSON object")
        yield {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in fields.items()
            if isinstance(value, str | bool | int | float)
        }


def propose_kind(outputs: Sequence[str]) -> str:
    """``classification`` where few short outputs come again and again, else ``text2text``."""
    found = {output.strip() for output in outputs} - {""}
    few = 2 <= len(found) <= min(_MOST_LABELS, len(outputs) // _LEAST_OF_EACH)
    short = all(len(output) <= _MOST_LABEL_CHARACTERS for output in found)
    return "classification" if few and short else "text2text"


def propose_columns(table: Mapping[str, Sequence[str]]) -> Columns:
    """Which columns may hold inputs and outputs, by their names and by what they hold.

    Raises:
        DataError: There is only one column.
    """
    if len(table) < 2:
        raise DataError(f"there is one column, {next(iter(table))!r}; a task needs two at least")
    output = _output(table)
    rest = [name for name in table if name != output]
    for one, other in _PAIRS:
        if one in rest and other in rest:
            return Columns(text=one, text_pair=other, output=output)
    return Columns(text=max(rest, key=lambda name: sum(map(len, table[name]))), output=output)


def _output(table: Mapping[str, Sequence[str]]) -> str:
    named = {name.casefold(): name for name in table}
    for name in _OUTPUTS:
        if name in named:
            return named[name]
    labels = [name for name in table if propose_kind(table[name]) == "classification"]
    if not labels:
        return list(table)[-1]
    telling = [name for name in labels if set(_words(name)) & set(_OUTPUTS)]
    return min(
        telling or labels,
        key=lambda name: (len(set(table[name])), sum(map(len, table[name]))),
    )


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.casefold())
