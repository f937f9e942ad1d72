"""What a run used and cost, as the report and the terminal show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from daftt_core.accounting import Amount, Ledger, StageAmount
from daftt_core.reporting.content import StageRecord
from daftt_core.reporting.provenance import Table
from daftt_core.reporting.text import NONE, memory, number, size
from daftt_core.telemetry import duration

COLUMNS = ("Time", "GPU-hours", "CPU-hours", "Stored", "Fetched", "Tokens read", "Tokens written")


_PAIRS = (
    *(("Time", "Attempts"), ("GPU-hours", "CPU-hours"), ("Stored", "Fetched")),
    *(("Tokens read", "Tokens written"), ("Peak memory", "On disk"), ("Cost",)),
)
_MOST_COLUMNS = 7
"""Columns that have room beside each other on a page; more of them share their cells in pairs."""


@dataclass(frozen=True)
class Row:
    """A stage in the report's table.

    Attributes:
        name: The stage, and what is special about it.
        cells: What it used, column by column.
        start: Begin of its bar on the timeline, as a share of the whole; None without a bar.
        length: Length of its bar, likewise.
    """

    name: str
    cells: Sequence[str]
    start: float | None = None
    length: float = 0.0


@dataclass(frozen=True)
class StageCosts:
    """The report's table of stages; columns that say nothing are left out.

    Attributes:
        columns: Names of the columns behind the stage's.
        rows: The stages.
        total: What all of them took together.
        seconds: Time on the clock that the timeline covers.
    """

    columns: list[str]
    rows: list[Row]
    total: Row
    seconds: float

    @property
    def groups(self) -> list[list[int]]:
        """Indices of the columns that share their cells, in the order of a page."""
        if len(self.columns) <= _MOST_COLUMNS:
            return [[index] for index in range(len(self.columns))]
        pairs = ([name for name in pair if name in self.columns] for pair in _PAIRS)
        return [[self.columns.index(name) for name in pair] for pair in pairs if pair]


def stage_costs(ledger: Ledger, records: Iterable[StageRecord]) -> StageCosts:
    """Return what each stage used, in one table with a timeline.

    Args:
        ledger: What the stages used.
        records: The finished stages.
    """
    by_name = {record.name: record for record in records}
    columns = ["Attempts", *_names(ledger), "Peak memory", "On disk"]
    cells = {stage.name: _cells(ledger, stage, by_name.get(stage.name)) for stage in ledger.stages}
    spent = [
        number(ledger.spent.usage.attempts),
        *amount_cells(ledger, ledger.spent),
        memory(max((record.peak_memory_bytes for record in by_name.values()), default=0)),
        size(sum(record.size_bytes for record in by_name.values())),
    ]
    zeros = dict(zip(_names(ledger), amount_cells(ledger, Amount()), strict=True))
    silent = {"Attempts": "1", **zeros}
    telling = [
        place
        for place, column in enumerate(columns)
        if column == "Time"
        or any(row[place] not in (NONE, silent.get(column)) for row in cells.values())
    ]
    bars, seconds = _bars(ledger, by_name)
    rows = []
    for stage in ledger.stages:
        note = ", copied" if stage.copied else "" if stage.finished else ", not finished"
        start, length = bars.get(stage.name, (None, 0.0))
        shown = [cells[stage.name][place] for place in telling]
        rows.append(Row(f"{stage.name}{note}", shown, start, length))
    total = Row("spent by this run", [spent[place] for place in telling])
    return StageCosts([columns[place] for place in telling], rows, total, seconds)


def _cells(ledger: Ledger, stage: StageAmount, record: StageRecord | None) -> list[str]:
    """Return a stage's cells; of one by an earlier version only the time is known."""
    used = amount_cells(ledger, stage)
    if not stage.measured:
        used[1 : len(COLUMNS)] = [NONE] * (len(COLUMNS) - 1)
    kept = [memory(record.peak_memory_bytes), size(record.size_bytes)] if record else [NONE, NONE]
    return [number(stage.usage.attempts), *used, *kept]


def _bars(
    ledger: Ledger, records: Mapping[str, StageRecord]
) -> tuple[dict[str, tuple[float | None, float]], float]:
    """Return start and length of each stage's bar, as shares of the timeline, and its seconds.

    A stage's end is when it was committed. The time between two attempts at it is not known, so
    they are shown as if one had followed the other at once. While no stage works, as between two
    attempts at the run, the clock stands still.
    """
    mine = [stage.name for stage in ledger.stages if stage.finished and not stage.copied]
    spans = {
        name: (records[name].finished - records[name].seconds, records[name].finished)
        for name in mine
        if name in records and records[name].finished
    }
    busy: list[tuple[float, float]] = []
    for start, end in sorted(spans.values()):
        if busy and start <= busy[-1][1]:
            busy[-1] = busy[-1][0], max(end, busy[-1][1])
        else:
            busy.append((start, end))

    def elapsed(time: float) -> float:
        return sum(max(0.0, min(time, end) - start) for start, end in busy)

    seconds = sum(end - start for start, end in busy)
    whole = seconds or 1.0
    bars = {
        name: (round(elapsed(start) / whole, 4), round((elapsed(end) - elapsed(start)) / whole, 4))
        for name, (start, end) in spans.items()
    }
    return dict(bars), seconds


def _names(ledger: Ledger) -> list[str]:
    return [*COLUMNS, *["Cost"] * bool(ledger.prices)]


def tables(ledger: Ledger) -> list[Table]:
    """Return what each stage used, and what each kept example and each point of gain took."""
    costs = stage_costs(ledger, ())
    columns = ["Stage", *costs.columns]
    rows = [[row.name, *row.cells] for row in (*costs.rows, costs.total)]
    stages = Table("What each stage used", columns, rows, numeric=columns[1:])
    return [stages, *([shares] if (shares := _shares(ledger)).rows else [])]


def _shares(ledger: Ledger) -> Table:
    columns = ["For", "Time", "GPU time", "CPU time", *["Cost"] * bool(ledger.prices)]
    shares = {"each kept synthetic example": ledger.per_kept_example}
    if ledger.gain is not None:
        shares[f"each of the {ledger.gain:.1f} points gained"] = ledger.per_point
    rows = [
        [
            name,
            _short_time(amount.usage.seconds),
            _short_time(3600 * amount.gpu_hours),
            _short_time(3600 * amount.cpu_hours),
            *[money(ledger, amount)] * bool(ledger.prices),
        ]
        for name, amount in shares.items()
        if amount is not None
    ]
    return Table("For what", columns, rows, numeric=columns[1:])


def shares_sentence(ledger: Ledger) -> str:
    """Say what each kept example and each point of gain took; empty where neither is known."""
    parts = []
    for name, time, gpu, cpu, *cost in _shares(ledger).rows:
        kinds = {"GPU": gpu, "CPU": cpu}
        worked = [f"{used} of a {kind}" for kind, used in kinds.items() if used != _short_time(0)]
        price = "".join(f", and cost {price}" for price in cost if price != NONE)
        parts.append(f"{name} took {', '.join([f'{time} on the clock', *worked])}{price}")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def notes(ledger: Ledger) -> list[str]:
    """Explain how to read the numbers, in sentences."""
    sentences = [
        "A stage's time is that of all its attempts. GPU-hours are those of all GPUs it had, idle "
        "or not; bytes are those that went to and from remote storage."
    ]
    if ledger.prices:
        sentences.append(f"Costs are in {ledger.currency}, by these prices: {ledger.prices}.")
    if ledger.unpriced:
        sentences.append(f"There is no price for {', '.join(ledger.unpriced)}.")
    if any(stage.copied for stage in ledger.stages):
        sentences.append(
            "Copied stages were done by another run and are not in what this one spent."
        )
    if any(not stage.measured for stage in ledger.stages):
        sentences.append("Of stages by an earlier version of DAFTT only the time is known.")
    if ledger.per_kept_example:
        sentences.append(
            "Synthetic examples took data, teacher, assessment, synthesis and curation; points "
            "of gain took the whole run, copied stages included."
        )
    if ledger.gain is not None and ledger.gain <= 0:
        sentences.append("Nothing was gained, so there is no price of a point.")
    return sentences


def amount_cells(ledger: Ledger, amount: Amount) -> list[str]:
    """Return what something used, column by column; the cost where there are prices."""
    usage = amount.usage
    return [
        duration(usage.seconds),
        f"{amount.gpu_hours:,.3f}",
        f"{amount.cpu_hours:,.3f}",
        size(usage.bytes_stored),
        size(usage.bytes_fetched),
        number(usage.tokens_read),
        number(usage.tokens_written),
        *[money(ledger, amount)] * bool(ledger.prices),
    ]


def money(ledger: Ledger, amount: Amount | None) -> str:
    """Write money with at least three significant digits: ``0.00123 EUR``, ``12.30 EUR``."""
    if amount is None or amount.cost is None:
        return NONE
    cost = amount.cost
    digits = f"{cost:,.2f}" if cost >= 1 or cost == 0 else f"{cost:.3g}"
    return f"{digits} {ledger.currency}"


def _short_time(seconds: float) -> str:
    """Write a time that may be far below a second: ``0.042 s``."""
    return f"{seconds:.3g} s" if seconds < 10 else duration(seconds)
