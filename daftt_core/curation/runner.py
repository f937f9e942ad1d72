"""Sends examples through the filters, with only a row of each in memory."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from zlib import crc32

from daftt_core.curation.filters import EXAMPLE_FILTERS, SET_FILTERS, FilterContext, Reason, settle
from daftt_core.curation.rows import Row, Spool
from daftt_core.records import Rejection, SyntheticExample, seed_for

READ, KEPT = "read", "kept"


class Outcome:
    """The fate of each example: kept, or rejected by one filter.

    Attributes:
        counts: Number of examples by source, outcome (``read`` for all, then ``kept`` or a
            filter's name) and label.
    """

    def __init__(self, spool: Spool) -> None:
        self.counts: Counter[tuple[str, str, str | None]] = Counter()
        self._spool = spool
        self._kept: list[Row] = []
        self._rejected: list[tuple[int, str, str, int, int]] = []

    def kept(self, source: str | None = None) -> Iterator[SyntheticExample]:
        """Return the kept examples by id; of one source only, where one is named."""
        return (row.read() for row in self._kept if source in (None, row.source))

    def draw(self, source: str, count: int, seed: int) -> Iterator[SyntheticExample]:
        """Return kept examples of one source drawn at random, in the order of the draw.

        Args:
            source: The source.
            count: How many to draw; all, where there are fewer.
            seed: The run's seed.
        """
        rows = (row for row in self._kept if row.source == source)
        drawn = heapq.nsmallest(count, rows, key=lambda row: seed_for(seed, "draw", row.id))
        return (row.read() for row in drawn)

    def rejected(self) -> Iterator[Rejection]:
        """Yield the rejected examples by filter, in the filters' order, and then by id."""
        for *_, place in sorted(self._rejected):
            yield Rejection.model_validate_json(self._spool.line(place))

    def keep(self, rows: list[Row]) -> None:
        """Note the rows that no filter has rejected."""
        self._kept = rows
        self.counts.update((row.source, KEPT, row.label) for row in rows)

    def reject(self, number: int, rejection: Rejection, label: str | None) -> None:
        """Note an example that a filter rejects.

        Args:
            number: The filter's place in the order of all.
            rejection: The example and the reason.
            label: The label it is counted under.
        """
        example = rejection.example
        place, line = self._spool.add(rejection)
        self._rejected.append((number, example.id, example.source, crc32(line), place))
        self.counts[example.source, rejection.reason, label] += 1


def run_filters(
    examples: Iterable[SyntheticExample], context: FilterContext, spool: Spool
) -> Outcome:
    """Send examples through all filters.

    Args:
        examples: The examples of both sources, in any order.
        context: What the filters know besides the examples.
        spool: Holds the examples; the outcome can be read until it is closed.
    """
    outcome = Outcome(spool)
    labelled = context.task.is_classification
    rows = []
    for example in examples:
        label = settle(example, context.config, context.task).output if labelled else None
        outcome.counts[example.source, READ, label] += 1
        passed_example = _filter_one(example, context, outcome, label)
        if passed_example is not None:
            rows.append(Row.of(passed_example, spool, labelled=labelled))
    rows.sort(key=lambda row: row.order)
    for number, (name, filter_set) in enumerate(SET_FILTERS.items(), start=len(EXAMPLE_FILTERS)):
        passed = []
        for row, reason in zip(rows, filter_set(rows, context), strict=True):
            if reason is None:
                passed.append(row)
            else:
                outcome.reject(number, _rejection(row.read(), name, reason), row.label)
        rows = passed
    outcome.keep(rows)
    return outcome


def _filter_one(
    example: SyntheticExample, context: FilterContext, outcome: Outcome, label: str | None
) -> SyntheticExample | None:
    """Return the example as it passes all filters of single examples; None if one rejects it."""
    for number, (name, filter_example) in enumerate(EXAMPLE_FILTERS.items()):
        result = filter_example(example, context)
        if isinstance(result, Reason):
            outcome.reject(number, _rejection(example, name, result), label)
            return None
        example = result
    return example


def _rejection(example: SyntheticExample, name: str, reason: Reason) -> Rejection:
    return Rejection(
        example=example, reason=name, detail=reason.detail, collides_with=reason.collides_with
    )
