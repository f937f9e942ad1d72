"""``daftt runs``: the runs of this machine, a bucket or a cluster, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.table import Table

from daftt_core.cli.cluster.remote import Connection, connect, with_connection
from daftt_core.cli.cluster.remote_runs import RemoteRun, find_remote_runs, remote_table
from daftt_core.cli.printing import say, say_json, show_table
from daftt_core.cli.runs.stored_runs import StoredRun, check_given, find_runs
from daftt_core.records import visible_line
from daftt_core.telemetry import duration


@click.command("runs", short_help="List the runs of this machine, a bucket or a cluster.")
@click.argument("place", default="")
@click.option(
    "--output",
    default="runs",
    show_default=True,
    help="Folder, or prefix in a bucket, under which the runs are.",
)
@click.option("--remote", is_flag=True, help="List the runs in Kubeflow Pipelines instead.")
@with_connection
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
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
    if remote:
        there = find_remote_runs(connect(connection))
        nothing = f"There is no run in {connection.shown}; start one with: daftt submit"
        _show(there, remote_table(there), nothing, as_json)
        return
    check_given("place" if place else "output")
    place = place or output
    here = find_runs(place)
    _show(here, _table(here), f"There is no run in {place}; start one with: daftt run", as_json)


def _show(runs: Sequence[StoredRun | RemoteRun], table: Table, nothing: str, as_json: bool) -> None:
    if as_json:
        say_json([asdict(run) for run in runs])
    elif runs:
        show_table(table)
    else:
        say(nothing)


def _table(runs: Sequence[StoredRun]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "status", "time", "age", "result"):
        table.add_column(heading, overflow="fold")
    for run in runs:
        age, work = duration(run.age_seconds), duration(run.work_seconds)
        table.add_row(visible_line(run.name), run.status, work, f"{age} ago", run.headline)
    return table
