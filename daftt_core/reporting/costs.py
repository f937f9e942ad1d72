"""What a run used and cost, as the report and the terminal show it."""

from __future__ import annotations

from daftt_core.accounting import Amount, Ledger, StageAmount
from daftt_core.reporting.provenance import Table
from daftt_core.reporting.text import NONE, number, size
from daftt_core.telemetry import duration

COLUMNS = ("Time", "GPU-hours", "CPU-hours", "Stored", "Fetched", "Tokens read", "Tokens written")


def tables(ledger: Ledger) -> list[Table]:
    """Return what each stage used, and what each kept example and each point of gain took."""
    columns = ["Stage", "Attempts", *COLUMNS, *["Cost"] * bool(ledger.prices)]
    rows = [_stage_cells(ledger, stage) for stage in ledger.stages]
    attempts = number(ledger.spent.usage.attempts)
    rows.append(["spent by this run", attempts, *amount_cells(ledger, ledger.spent)])
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


def _stage_cells(ledger: Ledger, stage: StageAmount) -> list[str]:
    """Return a stage's row: its name, its attempts, and what it used."""
    note = ", copied" if stage.copied else "" if stage.finished else ", not finished"
    cells = amount_cells(ledger, stage)
    if not stage.measured:
        cells[1 : len(COLUMNS)] = [NONE] * (len(COLUMNS) - 1)
    return [f"{stage.name}{note}", number(stage.usage.attempts), *cells]


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
