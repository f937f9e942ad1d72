"""The runs of a cluster: those that ``daftt runs --remote`` lists, and the folders they have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from daftt_core.cli.cluster.remote import ENDED, Remote, equals, state_of
from daftt_core.config import (
    FORM_SETTINGS,
    ClusterConfig,
    from_argument,
    json_argument,
    read_form,
)
from daftt_core.errors import RemoteError
from daftt_core.preflight import resolve
from daftt_core.records import visible_line
from daftt_core.telemetry import duration
from daftt_core.workspace import Run

_NEWEST = 50
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class RemoteRun:
    """A run in Kubeflow Pipelines.

    Attributes:
        run_id: Its id there.
        name: Its name.
        status: What became of it, in the words of Kubeflow Pipelines, in lower case.
        message: Why it failed; empty if it did not.
        age_seconds: Time since it was created.
        seconds: How long it took, or has taken so far.
        link: Its page.
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
        found = remote.client.list_runs(
            namespace=remote.connection.namespace or None,
            sort_by="created_at desc",
            page_size=_NEWEST,
        )
    return [_read(remote, run) for run in found.runs or []]


def find_run(remote: Remote, run: str) -> Any:
    """Return a run in Kubeflow Pipelines by its id, or the newest of its name.

    Raises:
        RemoteError: There is none.
    """
    if not _ID.fullmatch(run):
        with remote.doing("list the runs"):
            runs = remote.client.list_runs(
                namespace=remote.connection.namespace or None,
                sort_by="created_at desc",
                filter=equals("display_name", run),
            ).runs
        if not runs:
            raise RemoteError(
                f"{remote.connection.shown}: there is no run {run!r}; see: daftt runs --remote"
            )
        run = runs[0].run_id
    with remote.doing(f"read the run {run}"):
        return remote.client.get_run(run)


def runs_of(run: Any) -> Iterator[tuple[str, Run]]:
    """Yield the run that the form of a pipeline makes, or the cells of a sweep."""
    arguments = from_argument((run.runtime_config and run.runtime_config.parameters) or {})
    form: dict[str, Any] = dict.fromkeys((*FORM_SETTINGS, "preset"), "")
    form |= {"settings": {}, "compiled_in": json_argument(ClusterConfig())} | arguments
    if "fractions" not in form:
        yield "", resolve(read_form(form))
        return
    from daftt_core.sweep import read_sweep_form

    for cell in read_sweep_form(form).cells:
        yield cell.name, cell.run


def _read(remote: Remote, run: Any) -> RemoteRun:
    now = datetime.now(UTC)
    state = state_of(run)
    ended = run.finished_at if state in ENDED else None
    return RemoteRun(
        run_id=run.run_id,
        name=run.display_name,
        status=state.lower(),
        message=(run.error.message or "") if run.error else "",
        age_seconds=(now - run.created_at).total_seconds(),
        seconds=((ended or now) - run.created_at).total_seconds(),
        link=remote.link(f"runs/details/{run.run_id}"),
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
