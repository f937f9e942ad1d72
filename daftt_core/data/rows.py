"""Examples with the place they came from, and the mistakes found at such places."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from daftt_core.errors import DataError
from daftt_core.records import Example

__all__ = ["Mistakes", "Row", "Source", "drop_duplicates"]

_MOST_MISTAKES = 10


@dataclass(frozen=True, slots=True)
class Row:
    """An example and where it was read.

    Attributes:
        example: The example.
        file: The file.
        line: The line on which the row begins, counted from 1.
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
    """

    rows: list[Row]
    dropped: dict[str, int]


@dataclass
class Mistakes:
    """Collects the mistakes of a file, so that one run shows many of them.

    Attributes:
        file: The file, as messages name it.
        messages: Those found so far.
    """

    file: str
    messages: list[str] = field(default_factory=list)

    def add(self, line: int, message: str) -> None:
        """Note a mistake.

        Raises:
            DataError: It is one mistake too many to go on.
        """
        if len(self.messages) == _MOST_MISTAKES:
            self.messages.append(f"{self.file}: there are more mistakes after these")
            self.check()
        self.messages.append(f"{self.file}, line {line}: {message}")

    def check(self) -> None:
        """Stop if there was any mistake.

        Raises:
            DataError: Names all that were found.
        """
        if self.messages:
            raise DataError("\n".join(self.messages))


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
        kept.append(min(group, key=_order))
        if len(group) > 1:
            dropped["duplicate"] += len(group) - 1
    return Source(kept, dict(sorted(dropped.items())))


def _order(row: Row) -> tuple[str, str, str, str]:
    example = row.example
    return example.text, example.text_pair or "", example.output or "", row.slice_value
