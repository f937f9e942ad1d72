"""A sample of inputs, drawn while they are read: memory for the sample, whatever is read.

What is drawn are the inputs with the lowest places in the part of [0, 1) that is for learning, as
:mod:`daftt_core.data.splits` takes them from rows in memory: a bottom-k sample by a hash of the
content (E. Cohen and H. Kaplan, "Summarizing data using bottom-k sketches", PODC 2007). So the
order of rows and files does not matter, and rows that are added later displace few.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping

from daftt_core.data.rows import Row, Source, preferred
from daftt_core.data.splits import place, region_of

__all__ = ["Sampler"]


class Sampler:
    """Draws from the rows that it is offered.

    Args:
        count: How many different inputs to draw, at most.
        seed: The run's seed.
        test_share: Length of the region that is set aside for test.
        dev_share: Length of the region that is set aside for dev.
        used: What each id is used for already.
    """

    def __init__(
        self, count: int, seed: int, test_share: float, dev_share: float, used: Mapping[str, str]
    ) -> None:
        self._count, self._seed = count, seed
        self._shares = test_share, dev_share
        self._used = used
        self._seen_used: set[str] = set()
        self._heap: list[tuple[float, str]] = []  # the highest place first
        self._rows: dict[str, Row] = {}
        self._repeats: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def offer(self, row: Row) -> None:
        """Draw a row or leave it out."""
        example_id = row.example.id
        if example_id in self._used:
            first = example_id not in self._seen_used
            self._seen_used.add(example_id)
            self._dropped[f"also in {self._used[example_id]}" if first else "duplicate"] += 1
        elif example_id in self._rows:
            self._rows[example_id] = min(self._rows[example_id], row, key=preferred)
            self._repeats[example_id] += 1
        else:
            at = place(self._seed, example_id)
            region = region_of(at, *self._shares)
            if region != "train":
                self._dropped[f"set aside for {region}"] += 1
            else:
                self._keep_lowest(at, example_id, row)

    def _keep_lowest(self, at: float, example_id: str, row: Row) -> None:
        self._rows[example_id] = row
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, (-at, example_id))
            return
        _, highest = heapq.heappushpop(self._heap, (-at, example_id))
        del self._rows[highest]
        self._dropped["beyond unlabelled_count"] += 1 + self._repeats.pop(highest, 0)

    def drawn(self) -> Source:
        """The rows drawn, lowest place first, and how many were left out for which reason.

        Repeats are counted as duplicates where their input was drawn or is used already; those of
        other inputs are counted as the inputs are.
        """
        dropped = self._dropped.copy()
        dropped["duplicate"] += self._repeats.total()
        ordered = sorted(self._heap, reverse=True)
        return Source(
            [self._rows[example_id] for _, example_id in ordered],
            {reason: count for reason, count in sorted(dropped.items()) if count},
        )
