"""``daftt runs``: which runs there are on this machine, in a bucket or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.table import Table

from daftt_core.cli.cluster.connection import Connection, with_connection
from daftt_core.cli.printing import say, say_json, with_json
from daftt_core.cli.runs.stored_runs import StoredRun, check_named_folder, find_runs, with_output
from daftt_core.cli.tables import new_table, show_table
from daftt_core.records import visible_line
from daftt_core.telemetry import duration

if TYPE_CHECKING:
    from daftt_core.cli.cluster.listing import RemoteRun


@click.command("runs")
@click.argument("place", default="")
@with_output
@click.option("--remote", is_flag=True, help="List the runs in Kubeflow Pipelines instead.")
@with_connection
@with_json
def runs_command(
    place: str,
    output: str,
    remote: bool,
    connection: Connection,
    as_json: bool,
) -> None:
    """List the runs of this machine, of a bucket, or of a cluster, the newest first.

    PLACE is another way to give --output.

    \b
    Examples:
      daftt runs
      daftt runs --output /data/runs --json
      daftt runs gs://my-bucket/daftt
      daftt runs --remote --host http://localhost:8888
    """
    if remote:  # imported here: whoever lists folders waits for nothing of this
        from daftt_core.cli.cluster.listing import find_remote_runs, remote_table
        from daftt_core.cli.cluster.remote import connect

        remote_runs = find_remote_runs(connect(connection))
        nothing = f"There is no run in {connection.shown}; start one with: daftt submit"
        _show(remote_runs, remote_table(remote_runs), nothing, as_json)
        if remote_runs and not as_json:
            say(f"The page of a run: {connection.link('runs/details/ID')}")
        return
    check_named_folder("place" if place else "output")
    place = place or output
    runs = find_runs(place)
    _show(runs, _table(runs), f"There is no run in {place}; start one with: daftt run", as_json)


def _show(runs: Sequence[StoredRun | RemoteRun], table: Table, nothing: str, as_json: bool) -> None:
    if as_json:
        say_json([asdict(run) for run in runs])
    elif runs:
        show_table(table)
    else:
        say(nothing)


def _table(runs: Sequence[StoredRun]) -> Table:
    table = new_table(["run", "status", "time", "age", "result"])
    for run in runs:
        age, work = duration(run.age_seconds), duration(run.work_seconds)
        table.add_row(visible_line(run.name), run.status, work, f"{age} ago", run.headline)
    return table
