"""The runs of a cluster, as ``daftt runs --remote`` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from daftt_core.cli.cluster.endings import kubeflows_message, reasons_of
from daftt_core.cli.cluster.remote import Remote, seconds_of, state_of
from daftt_core.records import visible_line
from daftt_core.telemetry import duration

_NEWEST = 50


@dataclass(frozen=True)
class RemoteRun:
    """A run in Kubeflow Pipelines.

    Attributes:
        run_id: Its id there.
        name: Its name.
        status: What became of it, in the words of Kubeflow Pipelines, in lower case.
        message: Why it ended early; empty if it did not.
        age_seconds: Time since it was created.
        seconds: How long it took, or has taken so far.
        link: Its page in the user interface.
    """

    run_id: str
    name: str
    status: str
    message: str
    age_seconds: float
    seconds: float
    link: str


def find_remote_runs(remote: Remote) -> list[RemoteRun]:
    """Return the newest runs, the newest first.

    Raises:
        RemoteError: It was refused.
    """
    with remote.doing("list the runs"):
        runs = remote.client.list_runs(
            namespace=remote.connection.namespace or None,
            sort_by="created_at desc",
            page_size=_NEWEST,
        ).runs
    runs = runs or []
    return [_read(remote, *pair) for pair in zip(runs, reasons_of(runs), strict=True)]


def _read(remote: Remote, run: Any, reason: str) -> RemoteRun:
    return RemoteRun(
        run_id=run.run_id,
        name=run.display_name,
        status=state_of(run).lower(),
        message=reason or kubeflows_message(run),
        age_seconds=(datetime.now(UTC) - run.created_at).total_seconds(),
        seconds=seconds_of(run),
        link=remote.run_link(run.run_id),
    )


def remote_table(runs: Sequence[RemoteRun]) -> Table:
    """Return the runs as a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "status", "time", "age", "id", "message"):
        table.add_column(heading, overflow="fold")
    for run in runs:
        age = f"{duration(run.age_seconds)} ago"
        table.add_row(
            visible_line(run.name), run.status, duration(run.seconds), age, run.run_id, run.message
        )
    return table
