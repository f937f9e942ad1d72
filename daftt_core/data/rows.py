"""Examples with the place they came from, and the mistakes found at such places."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import NamedTuple

from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import Example
from daftt_core.telemetry import log

UNKNOWN_LABEL = "unknown label"
MALFORMED = "malformed row"
_MOST_MISTAKES = 10
_UNITS = {".parquet": "row", ".arrow": "row", ".json": "instance"}
_MOST_NAMES = 20  # in a message

Fields = Iterator[tuple[int, Mapping[str, object]]]
"""Rows with the line, or the number, of each."""


class Problem(NamedTuple):
    """Why a row cannot be used.

    Attributes:
        reason: As rows are counted by it.
        message: What is wrong with this one.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """An example and where it was read.

    Attributes:
        example: The example.
        file: The file.
        line: The line on which the row begins, or the row's number where a file has no lines;
            counted from 1.
        slice_value: What the column holds by which scores are sliced; empty where there is none.
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
        without_output: Rows that have an input and no output, where such are kept: not examples
            yet, and counted where some are drawn from them.
    """

    rows: list[Row]
    dropped: dict[str, int]
    without_output: list[Row] = field(default_factory=list)

    @property
    def read(self) -> int:
        """How many rows were read, but for those without an output."""
        return len(self.rows) + sum(self.dropped.values())


@dataclass
class Mistakes:
    """What cannot be used of a file: told, so that one run shows many mistakes, or left out.

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
    _told: set[str] = field(default_factory=set)

    def add(self, line: int, problem: Problem) -> None:
        """Note a row that cannot be used.

        Raises:
            DataError: It is one mistake too many to go on.
        """
        message = f"{self.file}, {self.unit} {line}: {problem.message}"
        if not self.strict and problem.reason != UNKNOWN_LABEL:
            self.pass_over(problem.reason, message)
            return
        if len(self.messages) == _MOST_MISTAKES:
            self.messages.append(f"{self.file}: there are more mistakes after these")
            self.check()
        self.messages.append(message)

    def pass_over(self, reason: str = "empty row", message: str = "") -> None:
        """Leave out a row and count it; the first one in a file is told, where there is a message.

        Args:
            reason: As such rows are counted.
            message: What is wrong with this one; empty where that is no mistake anywhere.
        """
        if message and reason not in self._told:
            self._told.add(reason)
            log.warning("%s; it is left out, and so are others like it", message)
        self.left_out[reason] += 1

    def check(self) -> None:
        """Stop if there was any mistake.

        Raises:
            DataError: Names all that were found.
        """
        if self.messages:
            raise DataError("\n".join(self.messages))

    def check_columns(self, header: Sequence[str], wanted: Iterable[str]) -> None:
        """Stop unless each of the columns is there once.

        Raises:
            DataError: One is missing or there twice.
        """
        for column in wanted:
            if header.count(column) != 1:
                problem = f"there is no column {column!r}{did_you_mean(column, header)}"
                if column in header:
                    problem = f"there are {header.count(column)} columns {column!r}"
                raise DataError(
                    f"{self.file}: {problem} (columns found: {list_names(header)}; "
                    "the task's 'columns' and data_slice_column say which ones are read)"
                )


def unit_of(name: str) -> str:
    """What the rows of a file are counted in, by the ending of its name."""
    return _UNITS.get(PurePath(name).suffix.lower(), "line")


def said_left_out(left_out: Mapping[str, int]) -> str:
    """What was left out, for the end of a message; empty where nothing was."""
    found = ", ".join(f"{reason}: {count}" for reason, count in sorted(left_out.items()))
    return f" (left out: {found})" if found else ""


def list_names(names: Iterable[str]) -> str:
    """Names for a message, not endlessly many."""
    known = [repr(name) for name in names]
    return ", ".join(known[:_MOST_NAMES]) + (", ..." if len(known) > _MOST_NAMES else "")


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
    """Of rows with one input, the one for which this is least is kept."""
    example = row.example
    return example.text, example.text_pair or "", example.output or "", row.slice_value
