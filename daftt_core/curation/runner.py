"""Sending examples through the filters, with only a row of each in memory."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from zlib import crc32

from daftt_core.curation.context import Reason, Surroundings
from daftt_core.curation.filters import EXAMPLE_FILTERS, SET_FILTERS, settle
from daftt_core.curation.rows import Row, Spool
from daftt_core.records import Rejection, SyntheticExample, seed_for

READ, KEPT = "read", "kept"


class Outcome:
    """Where each example ended: kept, or rejected by one filter.

    Attributes:
        counts: Number of examples by source, by what became of them (``read`` for all, then
            ``kept`` or a filter's name), and by label.
    """

    def __init__(self, spool: Spool) -> None:
        self.counts: Counter[tuple[str, str, str | None]] = Counter()
        self._spool = spool
        self._kept: list[Row] = []
        self._rejected: list[tuple[int, str, str, int, int]] = []

    def kept(self, source: str | None = None) -> Iterator[SyntheticExample]:
        """The kept examples by id; of one source only, where one is named."""
        return (row.read() for row in self._kept if source in (None, row.source))

    def draw(self, source: str, count: int, seed: int) -> Iterator[SyntheticExample]:
        """Kept examples of one source drawn at random, in the order of the draw.

        Args:
            source: The source.
            count: How many to draw; all, where there are fewer.
            seed: The run's seed.
        """
        rows = (row for row in self._kept if row.source == source)
        drawn = heapq.nsmallest(count, rows, key=lambda row: seed_for(seed, "draw", row.id))
        return (row.read() for row in drawn)

    def rejected(self) -> Iterator[Rejection]:
        """The rejected examples by filter, in the filters' order, and then by id."""
        for *_, place in sorted(self._rejected):
            yield Rejection.model_validate_json(self._spool.line(place))

    def keep(self, rows: list[Row]) -> None:
        """Note what no filter has rejected."""
        self._kept = rows
        self.counts.update((row.source, KEPT, row.label) for row in rows)

    def reject(self, number: int, rejection: Rejection, label: str | None) -> None:
        """Note what a filter rejects.

        Args:
            number: The filter's place in the order of all.
            rejection: What it rejects and why.
            label: The label it is counted under.
        """
        example = rejection.example
        place, line = self._spool.add(rejection)
        self._rejected.append((number, example.id, example.source, crc32(line), place))
        self.counts[example.source, rejection.reason, label] += 1


def run_filters(
    examples: Iterable[SyntheticExample], around: Surroundings, spool: Spool
) -> Outcome:
    """Send examples through all filters.

    Args:
        examples: Of both sources, in any order.
        around: What the filters know besides.
        spool: Holds the examples; the outcome can be read until it is closed.
    """
    outcome = Outcome(spool)
    labelled = around.task.is_classification
    rows = []
    for example in examples:
        label = settle(example, around.config, around.task).output if labelled else None
        outcome.counts[example.source, READ, label] += 1
        left = _one(example, around, outcome, label)
        if left is not None:
            rows.append(Row.of(left, spool, labelled=labelled))
    rows.sort(key=lambda row: row.order)
    for number, (name, filter_set) in enumerate(SET_FILTERS.items(), start=len(EXAMPLE_FILTERS)):
        passed = []
        for row, reason in zip(rows, filter_set(rows, around), strict=True):
            if reason is None:
                passed.append(row)
            else:
                outcome.reject(number, _rejection(row.read(), name, reason), row.label)
        rows = passed
    outcome.keep(rows)
    return outcome


def _one(
    example: SyntheticExample, around: Surroundings, outcome: Outcome, label: str | None
) -> SyntheticExample | None:
    """The example as it passes all filters for single examples, or None."""
    left = example
    for number, (name, look) in enumerate(EXAMPLE_FILTERS.items()):
        found = look(left, around)
        if isinstance(found, Reason):
            outcome.reject(number, _rejection(left, name, found), label)
            return None
        left = found
    return left


def _rejection(example: SyntheticExample, name: str, reason: Reason) -> Rejection:
    return Rejection(
        example=example, reason=name, detail=reason.detail, collides_with=reason.collides_with
    )
