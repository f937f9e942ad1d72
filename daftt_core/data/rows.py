"""Examples with the place they were read from, and the mistakes found there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import Example
from daftt_core.telemetry import log

UNKNOWN_LABEL = "unknown label"
MALFORMED = "malformed row"
_MAX_MISTAKES = 10
_UNITS = {".parquet": "row", ".arrow": "row", ".json": "instance"}
_MAX_NAMES = 20  # in a message

Fields = Iterator[tuple[int, Mapping[str, object]]]
"""Rows with the line, or the number, of each."""


class RowError(Exception):
    """A row that cannot be used.

    Args:
        reason: The kind of problem, by which rows are counted.
        message: What is wrong with this row.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class Row:
    """An example and where it was read.

    Attributes:
        example: The example.
        file: The file.
        line: The line on which the row begins, or the row's number where a file has no lines;
            counted from 1.
        slice_value: Value of the column by which scores are sliced; empty where there is none.
    """

    example: Example
    file: str
    line: int
    slice_value: str = ""


@dataclass(frozen=True)
class Source:
    """What was read from one place.

    Attributes:
        rows: Examples with different ids.
        dropped: How many rows were left out, by reason.
        without_output: Rows that have an input and no output, where those are kept: not examples
            yet, and counted where some are drawn from them.
    """

    rows: list[Row]
    dropped: dict[str, int]
    without_output: list[Row] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Return how many rows were read, without those that have no output."""
        return len(self.rows) + sum(self.dropped.values())


@dataclass
class Mistakes:
    """The rows of a file that cannot be used: reported many at a time, or left out.

    Attributes:
        file: The file, as messages name it.
        strict: Whether a row that cannot be used is a mistake; if not, it is left out and counted,
            unless its label is unknown: then the task and the data do not fit.
        unit: What the file's rows are counted in.
        left_out: How many rows were left out, by reason.
        messages: The mistakes found so far.
    """

    file: str
    strict: bool = True
    unit: str = "line"
    left_out: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    _reported: set[str] = field(default_factory=set)

    def add(self, line: int, error: RowError) -> None:
        """Note a row that cannot be used.

        Raises:
            DataError: There are too many mistakes to continue.
        """
        message = f"{self.file}, {self.unit} {line}: {error.message}"
        if not self.strict and error.reason != UNKNOWN_LABEL:
            self.pass_over(error.reason, message)
            return
        if len(self.messages) == _MAX_MISTAKES:
            self.messages.append(f"{self.file}: there are more mistakes after these")
            self.check()
        self.messages.append(message)

    def pass_over(self, reason: str = "empty row", message: str = "") -> None:
        """Leave out a row and count it; log the message of the first such row in a file.

        Args:
            reason: The kind of problem.
            message: What is wrong with this row; empty where that is never a mistake.
        """
        if message and reason not in self._reported:
            self._reported.add(reason)
            log.warning("%s; it is left out, and so are others like it", message)
        self.left_out[reason] += 1

    def check(self) -> None:
        """Stop if there was any mistake.

        Raises:
            DataError: Names all that were found.
        """
        if self.messages:
            raise DataError("\n".join(self.messages))

    def check_columns(self, header: Sequence[str], columns: Iterable[str]) -> None:
        """Stop unless each of the columns is in the header once.

        Raises:
            DataError: One is missing or there twice.
        """
        for column in columns:
            if header.count(column) != 1:
                problem = f"there is no column {column!r}{did_you_mean(column, header)}"
                if column in header:
                    problem = f"there are {header.count(column)} columns {column!r}"
                raise DataError(
                    f"{self.file}: {problem} (columns found: {list_names(header)}; "
                    "the task's 'columns' and data_slice_column say which ones are read)"
                )


def unit_of(name: str) -> str:
    """Return what the rows of a file are counted in, by the ending of its name."""
    return _UNITS.get(PurePath(name).suffix.lower(), "line")


def left_out_words(left_out: Mapping[str, int]) -> str:
    """Return what was left out, for the end of a message; empty where nothing was."""
    counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(left_out.items()))
    return f" (left out: {counts})" if counts else ""


def list_names(names: Iterable[str]) -> str:
    """Return names for a message, at most 20 of them."""
    quoted = [repr(name) for name in names]
    return ", ".join(quoted[:_MAX_NAMES]) + (", ..." if len(quoted) > _MAX_NAMES else "")


def drop_duplicates(rows: Iterable[Row], *, labelled: bool) -> Source:
    """Keep one row of each input.

    Which one is kept does not depend on the order of rows. Labels of the same input that contradict
    each other cannot be trusted: then none is kept.

    Args:
        rows: What was read.
        labelled: Whether outputs are labels, rather than texts or unknown. An input may well have
            several output texts; the first in alphabetical order is kept.
    """
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.example.id].append(row)
    kept = []
    dropped: Counter[str] = Counter()
    for group in groups.values():
        if labelled and len({row.example.output for row in group}) > 1:
            dropped["contradicting labels"] += len(group)
            continue
        kept.append(min(group, key=preferred))
        if len(group) > 1:
            dropped["duplicate"] += len(group) - 1
    return Source(kept, dict(sorted(dropped.items())))


def preferred(row: Row) -> tuple[str, str, str, str]:
    """Return a sort key: of rows with the same input, the first by it is kept."""
    example = row.example
    return example.text, example.text_pair or "", example.output or "", row.slice_value
