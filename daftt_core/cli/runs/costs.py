"""``daftt costs``: what runs used and what it cost."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import click

from daftt_core.accounting import (
    Amount,
    Ledger,
    Prices,
    StageAmount,
    add_up,
    example_prices,
    read_ledger,
    read_prices,
    run_prices,
)
from daftt_core.cli.printing import say, say_json, with_json
from daftt_core.cli.runs.stored_runs import (
    StoredRun,
    check_named_folder,
    find_runs,
    read_run,
    reader_pool,
)
from daftt_core.cli.tables import new_table, show_table
from daftt_core.errors import DafttError
from daftt_core.records import visible_line
from daftt_core.stages import PREFLIGHT
from daftt_core.storage import open_storage
from daftt_core.telemetry import log
from daftt_core.workspace import RUN_FILE, Run, read_file

_Row = tuple[str, str, Ledger]  # name, status, what it used


@click.command("costs")
@click.argument("place", default="runs")
@click.option(
    "--prices",
    "prices_file",
    default="",
    metavar="FILE",
    help="YAML file of prices; without it, those that each run was started with.",
)
@click.option(
    "--example-prices", "print_example", is_flag=True, help="Print a price file to start from."
)
@with_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def costs_command(
    place: str, prices_file: str, print_example: bool, as_json: bool, as_csv: bool
) -> None:
    """Show what the runs in a folder or bucket used and cost, one by one and together.

    PLACE is a folder or prefix with runs and sweeps in it, a sweep, or one run, of which the stages
    are shown. Time is that of all attempts, also of stages that failed. What one run copied from
    another counts once, where it was done.

    \b
    Examples:
      daftt costs
      daftt costs runs/movie-reviews-1a2b3c4d --prices my-prices.yaml
      daftt costs gs://my-bucket/daftt --csv > costs.csv
      daftt costs --example-prices > my-prices.yaml
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if print_example:
        say(example_prices(), nl=False)
        return
    check_named_folder("place")
    prices = read_prices(prices_file) if prices_file else None
    if read_file(place, PREFLIGHT, RUN_FILE) is not None:
        _show_run(read_run(place), prices, as_json, as_csv)
    else:
        _show_runs(_read_all(place, prices), place, as_json, as_csv)


def _ledger(run: Run, prices: Prices | None) -> Ledger:
    return read_ledger(run, prices or run_prices(run))


def _read_all(place: str, prices: Prices | None) -> list[_Row]:
    def read(stored: StoredRun) -> _Row:
        try:
            return stored.name, stored.status, _ledger(read_run(stored.folder), prices)
        except DafttError as error:  # it broke off at its preflight, or is damaged
            log.warning("%s; its costs are unknown and left out", error)
            return stored.name, stored.status, Ledger()

    with reader_pool(open_storage(place)) as pool:
        return list(pool.map(read, find_runs(place, cells=True)))


def _show_run(run: Run, prices: Prices | None, as_json: bool, as_csv: bool) -> None:
    from daftt_core.reporting import costs as words

    ledger = _ledger(run, prices)
    if as_json:
        say_json(_as_json(ledger))
        return
    if as_csv:
        rows = [{"stage": stage.name, **_flat(stage), **_state(stage)} for stage in ledger.stages]
        say(_csv(rows), nl=False)
        return
    for table in words.tables(ledger):
        shown = new_table(table.columns, numeric=table.numeric, title=table.name)
        for row in table.rows:
            shown.add_row(*row)
        show_table(shown)
        say()
    for sentence in words.notes(ledger):
        say(sentence)


def _show_runs(rows: Sequence[_Row], place: str, as_json: bool, as_csv: bool) -> None:
    from daftt_core.reporting import costs as words

    currencies = {ledger.currency for _, _, ledger in rows if ledger.stages}
    total = add_up(ledger.spent for _, _, ledger in rows if ledger.stages)
    if len(currencies) != 1:  # amounts in different currencies have no sum
        total = total.model_copy(update={"cost": None})
    if as_json:
        runs = [
            {"run": name, "status": status, **_as_json(ledger)} for name, status, ledger in rows
        ]
        say_json({"runs": runs, "spent": _flat(total)})
        return
    if as_csv:
        lines = [
            {
                "run": name,
                "status": status,
                **_flat(ledger.spent),
                "currency": ledger.currency,
                **_results(ledger),
            }
            for name, status, ledger in rows
        ]
        say(_csv(lines), nl=False)
        return
    if not rows:
        say(f"There is no run in {place}; start one with: daftt run")
        return
    headings = ["run", "status", *(column.lower() for column in words.COLUMNS)]
    priced = any(ledger.prices for _, _, ledger in rows)
    headings += ["cost", "a kept example", "a point"] * priced
    table = new_table(headings, numeric=headings[1:])
    for name, status, ledger in rows:
        if not ledger.stages:  # it was left out, which does not mean that it cost nothing
            table.add_row(visible_line(name), status, "not known")
            continue
        cells = words.amount_cells(ledger, ledger.spent)[: len(words.COLUMNS)]
        shares = (ledger.spent, ledger.per_kept_example, ledger.per_point)
        table.add_row(
            visible_line(name),
            status,
            *cells,
            *[words.money(ledger, amount) for amount in shares] * priced,
        )
    common = Ledger(currency=next(iter(currencies), "")) if len(currencies) == 1 else Ledger()
    cells = words.amount_cells(common, total)
    table.add_row("all", "", *cells, *[words.money(common, total), "", ""] * priced)
    show_table(table)
    for source in sorted({ledger.prices for _, _, ledger in rows if ledger.prices}):
        say(f"Prices: {source}")
    for device in sorted({device for _, _, ledger in rows for device in ledger.unpriced}):
        say(f"There is no price for {device}.")


def _as_json(ledger: Ledger) -> dict[str, Any]:
    return {
        "prices": ledger.prices,
        "currency": ledger.currency,
        "unpriced": list(ledger.unpriced),
        "spent": _flat(ledger.spent),
        "whole": _flat(ledger.whole),
        **_results(ledger),
        "stages": [
            {"name": stage.name, **_flat(stage), **_state(stage)} for stage in ledger.stages
        ],
    }


def _results(ledger: Ledger) -> dict[str, Any]:
    """Return what was made, and what each piece of it took."""
    example, point = ledger.per_kept_example, ledger.per_point
    return {
        "kept_examples": ledger.kept_examples,
        "gain_points": ledger.gain,
        "gpu_seconds_per_kept_example": 3600 * example.gpu_hours if example else None,
        "cpu_seconds_per_kept_example": 3600 * example.cpu_hours if example else None,
        "cost_per_kept_example": example.cost if example else None,
        "gpu_hours_per_point": point.gpu_hours if point else None,
        "cpu_hours_per_point": point.cpu_hours if point else None,
        "cost_per_point": point.cost if point else None,
    }


def _flat(amount: Amount) -> dict[str, Any]:
    used = amount.usage
    return {
        **used.model_dump(exclude={"cpu_seconds", "gpu_seconds"}),
        "gpu_hours": amount.gpu_hours,
        "cpu_hours": amount.cpu_hours,
        "cost": amount.cost,
    }


def _state(stage: StageAmount) -> dict[str, bool]:
    return stage.model_dump(include={"copied", "finished", "measured"})


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()
