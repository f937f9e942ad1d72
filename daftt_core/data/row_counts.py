"""What became of every row that was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daftt_core.data.rows import Row, Source
from daftt_core.data.splits import Regions

_HIDDEN = "unlabelled (label hidden)"
_BEYOND_BOTH = "beyond labelled_count and unlabelled_count"


@dataclass(frozen=True)
class Account:
    """Rows by what became of them; those of a source add up to ``read``.

    Attributes:
        rows: By source, how many were ``read``, and how many of them are in which split.
        dropped: By source and reason, how many are in none.
    """

    rows: dict[str, dict[str, int]]
    dropped: dict[str, dict[str, int]]

    def in_words(self) -> str:
        """All of it on one line."""
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
    """Say of every row that was read in which split it is, or why in none.

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
