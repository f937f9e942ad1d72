"""Cutting a set of examples into splits that stay apart when the set grows.

Every example has a *place* in [0, 1), a hash of the run's seed and its id. The interval is cut
into three regions: test, then dev, then train. So rows that are added later move no example from
one region to another, and the order of rows does not matter. Within a region the lowest places are
taken first, each label in proportion; of sets of labels, the rarest label in each.

Inputs without outputs are sampled while they are read, in memory for the sample alone: those with
the lowest places in the train region, a bottom-k sample by a hash of the content (E. Cohen and H.
Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from daftt_core.data.rows import Row, Source, preferred
from daftt_core.records import seed_for
from daftt_core.tasks import Task, split_labels

_HIDDEN = "unlabelled (label hidden)"
_BEYOND_BOTH = "beyond labelled_count and unlabelled_count"


@dataclass(frozen=True)
class Regions:
    """The rows of each region."""

    test: list[Row]
    dev: list[Row]
    train: list[Row]


def place(seed: int, example_id: str) -> float:
    """Return where an example lies in [0, 1)."""
    return (seed_for(seed, "split", example_id) >> 10) / 2**53


def region_of(at: float, test_share: float, dev_share: float) -> str:
    """Return the region that holds a place: ``test``, ``dev`` or ``train``."""
    if at < test_share:
        return "test"
    return "dev" if at < test_share + dev_share else "train"


def cut(rows: Iterable[Row], seed: int, test_share: float, dev_share: float) -> Regions:
    """Put every row into its region.

    Args:
        rows: Rows with different ids.
        seed: The run's seed.
        test_share: Length of the test region.
        dev_share: Length of the dev region.
    """
    regions = Regions([], [], [])
    for row in rows:
        region = region_of(place(seed, row.example.id), test_share, dev_share)
        getattr(regions, region).append(row)
    return regions


def take(
    rows: Sequence[Row],
    count: int,
    seed: int,
    *,
    by_label: bool,
    of_sets: bool = False,
    at_least: int = 0,
) -> list[Row]:
    """Return the ``count`` rows with the lowest places, or all when there are fewer.

    Args:
        rows: Rows with different ids.
        count: How many to take.
        seed: The run's seed.
        by_label: Take each label in proportion to its frequency in ``rows``.
        of_sets: Whether outputs are sets of labels; each counts as the rarest label in it.
        at_least: So many of each label, as far as ``count`` and the label's rows allow.

    Returns:
        The rows, lowest place first.
    """

    def labels_of(row: Row) -> list[str]:
        return split_labels(_output(row)) if of_sets else [_output(row)]

    def group_of(row: Row) -> str:
        return min(labels_of(row), key=lambda label: (counts[label], label), default="")

    counts = Counter(label for row in rows for label in labels_of(row))

    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: place(seed, row.example.id)):
        groups[group_of(row) if by_label else ""].append(row)
    sizes = {label: len(group) for label, group in groups.items()}
    quota = quotas(sizes, count, at_least)
    taken = [row for label, group in groups.items() for row in group[: quota[label]]]
    return sorted(taken, key=lambda row: place(seed, row.example.id))


def quotas(sizes: Mapping[str, int], total: int, at_least: int = 0) -> dict[str, int]:
    """Distribute ``total`` places in proportion to sizes, by the largest remainder method.

    Args:
        sizes: The size of each group.
        total: Places to distribute; at most the sum of sizes.
        at_least: A group gets so many even where its proportion is smaller, as far as its size and
            ``total`` allow; the groups that are furthest above their proportion give them up.
    """
    size = sum(sizes.values())
    total = min(total, size)
    quota = {name: sizes[name] * total // size for name in sizes}
    by_remainder = sorted(sizes, key=lambda name: (-(sizes[name] * total % size), name))
    for name in by_remainder[: total - sum(quota.values())]:
        quota[name] += 1
    for name in sorted(sizes):
        while quota[name] < min(at_least, sizes[name]):
            givers = [other for other in sizes if quota[other] > at_least]
            if not givers:
                break
            giver = max(givers, key=lambda o: (quota[o] * size - sizes[o] * total, quota[o], o))
            quota[giver] -= 1
            quota[name] += 1
    return quota


def share_of(fraction: float, size: int) -> int:
    """Return ``fraction`` of ``size`` with halves rounded up: 5% of 2,490 is 125."""
    exact = Decimal(str(fraction)) * size
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def count_labels(task: Task, rows: Iterable[Row]) -> dict[str, int]:
    """Return how many rows have each label."""
    labels = (label for row in rows for label in task.labels_of(_output(row)))
    return dict(sorted(Counter(labels).items()))


def _output(row: Row) -> str:
    return row.example.output or ""


class Sampler:
    """A sample of the rows that it is offered.

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
        """Return the rows drawn, lowest place first, and how many were left out for which reason.

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


@dataclass(frozen=True)
class Account:
    """Numbers of rows by what became of them; those of a source add up to ``read``.

    Attributes:
        rows: By source, how many were ``read``, and how many of them are in which split.
        dropped: By source and reason, how many are in none.
    """

    rows: dict[str, dict[str, int]]
    dropped: dict[str, dict[str, int]]

    def in_words(self) -> str:
        """Return all of it on one line."""
        return ". ".join(self._words(source) for source in self.rows)

    def _words(self, source: str) -> str:
        rows = dict(self.rows[source])
        words = f"data_{source}: {rows.pop('read')} rows read"
        for start, counts in ((": ", rows), ("; left out: ", self.dropped[source])):
            if counts:
                words += start + ", ".join(f"{count} {name}" for name, count in counts.items())
        return words


def account_for(
    sources: Mapping[str, Source],
    regions: Regions,
    drawn: Mapping[str, Source],
    splits: Mapping[str, Sequence[Row]],
) -> Account:
    """Count the rows that were read by the split they are in, or by why they are in none.

    Args:
        sources: What was read of the labelled sources.
        regions: ``train``, cut.
        drawn: What was drawn, by source, of the inputs without outputs.
        splits: The rows of each split.
    """
    split_of = {row.example.id: name for name, rows in splits.items() for row in rows}
    beyond = {row.example.id: "beyond test_count" for row in regions.test}
    beyond |= {row.example.id: "beyond dev_count" for row in regions.dev}
    account = Account({}, {})
    for source in dict.fromkeys([*sources, *drawn]):
        used: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        for row in sources[source].rows if source in sources else ():
            split = split_of.get(row.example.id)
            if split:
                used[_HIDDEN if split == "unlabelled" else split] += 1
            elif source == "train":
                dropped[beyond.get(row.example.id, _BEYOND_BOTH)] += 1
            else:
                dropped[f"beyond {source}_count"] += 1
        for row in drawn[source].rows if source in drawn else ():
            if row.example.id in split_of:
                used["unlabelled"] += 1
            else:
                dropped["beyond unlabelled_count"] += 1
        parts = [part[source] for part in (sources, drawn) if source in part]
        for part in parts:
            dropped.update(part.dropped)
        account.rows[source] = {
            "read": sum(part.read for part in parts),
            **{name: used[name] for name in (*splits, _HIDDEN) if used[name]},
        }
        account.dropped[source] = dict(sorted(dropped.items()))
    return account
