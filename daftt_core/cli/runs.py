"""``daftt runs``: the runs of this machine or of a cluster, and what became of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from daftt_core.cli.outcome import last_failure
from daftt_core.cli.remote import Connection, connect, with_connection
from daftt_core.cli.remote_runs import RemoteRun, find_remote_runs, remote_table
from daftt_core.cli.running import is_running
from daftt_core.errors import StorageError
from daftt_core.progress import duration
from daftt_core.storage import local_folder, read_manifest
from daftt_core.workspace import StageStatus, read_statuses

__all__ = ["LocalRun", "find_runs", "runs_command"]

_LAST_STAGE = "report"


@dataclass(frozen=True)
class LocalRun:
    """A run in a folder of this machine.

    Attributes:
        name: Its folder's name.
        folder: Its folder.
        status: What became of it; ``interrupted`` when it has not ended and nothing works on it.
        headline: Its result in one sentence, or why it failed; empty while there is neither.
        age_seconds: Time since a stage last changed.
        work_seconds: Time that its finished stages took, added up.
    """

    name: str
    folder: str
    status: Literal["running", "done", "failed", "interrupted"]
    headline: str
    age_seconds: float
    work_seconds: float


@click.command("runs", short_help="List the runs of this machine or of a cluster.")
@click.option(
    "--output", default="runs", show_default=True, help="Folder under which the runs' folders are."
)
@click.option("--remote", is_flag=True, help="List the runs in Kubeflow Pipelines instead.")
@with_connection
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs_command(
    output: str, remote: bool, host: str, namespace: str, token: str, ca_cert: str, as_json: bool
) -> None:
    """List the runs of this machine, or of a cluster, the newest first.

    \b
    Examples:
      daftt runs
      daftt runs --output /data/runs --json
      daftt runs --remote --host http://localhost:8888
    """
    if remote:
        connection = Connection(host, namespace, token, ca_cert)
        there = find_remote_runs(connect(connection))
        nothing = f"There is no run in {connection.shown}; start one with: daftt submit"
        _show(there, remote_table(there), nothing, as_json)
        return
    here = find_runs(local_folder(output))
    _show(here, _table(here), f"There is no run in {output}; start one with: daftt run", as_json)


def _show(runs: Sequence[LocalRun | RemoteRun], table: Table, nothing: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(run) for run in runs], indent=1))
    elif runs:
        # a pipe has no width: what reads it wants whole lines
        Console(width=None if sys.stdout.isatty() else 1000).print(table)
    else:
        click.echo(nothing)


def find_runs(output: Path) -> list[LocalRun]:
    """Every run under ``output``, the newest first."""
    folders = [path.parent for path in output.glob("*/.status")] if output.is_dir() else []
    runs = [_read(folder, statuses) for folder in folders if (statuses := read_statuses(folder))]
    return sorted(runs, key=lambda run: run.age_seconds)


def _read(folder: Path, statuses: list[StageStatus]) -> LocalRun:
    status, headline = _ending(folder, statuses)
    return LocalRun(
        name=folder.name,
        folder=str(folder),
        status=status,
        headline=headline,
        age_seconds=time.time() - statuses[-1].updated,
        work_seconds=round(sum(_seconds(folder / each.stage) for each in statuses), 1),
    )


def _ending(
    folder: Path, statuses: list[StageStatus]
) -> tuple[Literal["running", "done", "failed", "interrupted"], str]:
    statuses = [status for status in statuses if not status.stage.startswith("review/")]
    last = statuses[-1]
    if is_running(folder):
        return "running", ""
    if failure := last_failure(folder):
        return "failed", failure
    if last.stage == _LAST_STAGE and last.state == "done":
        return "done", _headline(folder, statuses)
    failed = [status for status in statuses if status.state == "failed"]
    if failed:
        return "failed", f"stage {failed[-1].stage}: {failed[-1].message}"
    return "interrupted", ""


def _headline(folder: Path, statuses: list[StageStatus]) -> str:
    from daftt_core.evaluation import Evaluation

    if not any(status.stage == "evaluation" and status.state == "done" for status in statuses):
        return ""
    try:
        text = (folder / "evaluation" / "evaluation.json").read_text(encoding="utf-8")
        return Evaluation.model_validate_json(text).headline
    except (OSError, ValidationError):
        return "the result cannot be read; run it again"


def _seconds(stage_folder: Path) -> float:
    try:
        manifest = read_manifest(stage_folder)
    except StorageError:
        return 0.0
    return manifest.seconds if manifest else 0.0


def _table(runs: Sequence[LocalRun]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "status", "time", "age", "result"):
        table.add_column(heading, overflow="fold")
    for run in runs:
        age, work = duration(run.age_seconds), duration(run.work_seconds)
        table.add_row(run.name, run.status, work, f"{age} ago", run.headline)
    return table
