"""``daftt runs`` and ``daftt clean``: which runs there are, and what one of them can do without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.table import Table

from daftt_core.cli.cluster.remote import Connection, connect, with_connection
from daftt_core.cli.cluster.remote_runs import RemoteRun, find_remote_runs, remote_table
from daftt_core.cli.printing import new_table, say, say_json, show_table, with_json
from daftt_core.cli.runs.stored_runs import StoredRun, check_named_folder, find_runs, with_output
from daftt_core.cli.settings import FiniteRange
from daftt_core.records import visible_line
from daftt_core.storage import open_storage
from daftt_core.telemetry import duration


@click.command("runs", short_help="List the runs of this machine, a bucket or a cluster.")
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
    if remote:
        remote_runs = find_remote_runs(connect(connection))
        nothing = f"There is no run in {connection.shown}; start one with: daftt submit"
        _show(remote_runs, remote_table(remote_runs), nothing, as_json)
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


@click.command("clean", short_help="Remove what nothing refers to from a run.")
@click.argument("uri")
@click.option(
    "--older-than",
    "hours",
    type=FiniteRange(min=0),
    default=24.0,
    show_default=True,
    help="Hours; what was written or replaced since then is kept.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@with_json
def clean_command(uri: str, hours: float, dry_run: bool, as_json: bool) -> None:
    """Remove replaced results, and what interrupted work left behind, from a run in a bucket.

    URI is the run, such as gs://bucket/daftt/my-run. What a finished stage refers to is kept, and
    so is the progress of an unfinished stage. In a folder, of a run or a registry, only the
    unfinished files of killed processes are removed, whenever they were written.

    \b
    Examples:
      daftt clean gs://my-bucket/daftt/my-run --dry-run
      daftt clean gs://my-bucket/daftt/my-run --older-than 2
    """
    from daftt_core.workspace.garbage import find_leftovers

    storage = open_storage(uri)
    leftovers = find_leftovers(storage, hours * 3600)
    if not dry_run:
        storage.delete(leftovers)
    fate = "would be removed" if dry_run else "removed"
    sizes = {name: entry.size for name, entry in leftovers.items()}
    if as_json:
        say_json({"fate": fate, "bytes": sizes})
        return
    for name in sizes:
        say(visible_line(f"{fate} {storage.uri}/{name}"))
    say(f"{storage.uri}: {len(sizes)} objects, {sum(sizes.values()) / 1e9:.3f} GB {fate}")
