"""``daftt sweep``: fractions of labels x ratios x modes x mixtures, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from daftt_core.cli.local.launch import Attempt, compiled_pipeline
from daftt_core.cli.local.outcome import RunFailedError, explain_failure
from daftt_core.cli.local.watch import run_and_show
from daftt_core.cli.printing import say, say_json
from daftt_core.cli.settings import (
    SettingsCommand,
    read_config,
    sweep_parameters,
    take_variations,
    with_settings,
    with_variations,
)
from daftt_core.cli.tables import new_table, show_table
from daftt_core.config import to_flat
from daftt_core.errors import DafttError
from daftt_core.storage import local_folder

if TYPE_CHECKING:
    from daftt_core.sweep import Sweep, SweepTable


@click.command("sweep", cls=SettingsCommand)
@with_settings
@with_variations
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def sweep_command(
    settings_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the pipeline once for each fraction, ratio, mode and mixture; one table has the results.

    Each cell is a run of its own in the sweep's folder. What two of them have in common, such as
    the teacher of a fraction, is made once. The same command resumes an interrupted sweep, and
    with more values it adds cells. A cell that fails stops no other; its error is in the table,
    and its exit code is the command's.

    \b
    Examples:
      daftt sweep --fractions 0.01,0.05 --ratios 1,4,0
      daftt sweep --modes annotate,generate --ratios 0 --student-seeds 5
      daftt sweep --mixtures 0,6 --fractions 0.01 --ratios 4
    """
    from daftt_core.sweep import RECOMMENDED, plan_sweep, verdicts

    variations = take_variations(options)
    parameters = sweep_parameters(to_flat(read_config(settings_file, options)), variations)
    sweep = plan_sweep(**parameters)
    table = _run(sweep, parameters)
    if as_json:
        say_json(table.model_dump(mode="json"))
    else:
        show_table(_as_table(table))
        folder = local_folder(sweep.uri)
        for sentence in verdicts(table):
            say(sentence)
        if table.recommendation and table.recommendation.cell:
            say(f"To run with it: daftt run --settings {folder / RECOMMENDED}")
        say(f"Table: {folder / 'sweep.html'} (and .csv, .json)")
    if table.lost:
        sentences = "\n".join(f"{cell.cell}: {cell.status}: {cell.message}" for cell in table.lost)
        raise RunFailedError(sentences, table.lost[0].exit_code or DafttError.exit_code)


def _run(sweep: Sweep, parameters: dict[str, Any]) -> SweepTable:
    from daftt_core.sweep import read_table

    compiled = compiled_pipeline("sweep")
    attempt = Attempt(local_folder(sweep.uri))
    introduction = f"{len(sweep.cells)} cells; the sweep's folder is {attempt.folder}"
    cells = {cell.name: cell.run.folder for cell in sweep.cells}
    code = run_and_show(attempt, compiled, parameters, introduction, cells)
    table = read_table(sweep)
    if table is None or (code != 0 and not table.lost):
        raise explain_failure(attempt)
    return table


def _as_table(table: SweepTable) -> Table:
    from daftt_core.reporting import text as formats
    from daftt_core.sweep import arm_rows

    place = ("fraction", "ratio", "mode", "mixture", "teacher (dev)")
    headings = (*place, "arm", "real", "synthetic", "mean", "gain", "interval")
    shown = new_table(headings, numeric={*headings} - {"mode", "arm", "interval"})
    for row in arm_rows(table):
        cell = [f"{row['fraction']:g}", f"{row['ratio']:g}", row["mode"], str(row["mixture_tasks"])]
        cell.append(formats.percent(row["teacher_dev"]))
        if row["arm"] is None:
            shown.add_row(*cell, row["status"])
            continue
        interval = f"{formats.gain(row['gain_low'])} to {formats.gain(row['gain_high'])}"
        shown.add_row(
            *cell,
            f"{row['arm']} *" if row["chosen_on_dev"] else row["arm"],
            str(row["real"]),
            str(row["synthetic"]),
            formats.percent(row["mean"]),
            formats.gain(row["gain"]),
            interval if row["gain"] is not None else "",
        )
    return shown
