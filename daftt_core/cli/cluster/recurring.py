"""Recurring runs in Kubeflow Pipelines: finding them, and removing them without ending a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from daftt_core.cli.cluster.remote import ENDED, Remote, equals
from daftt_core.cli.printing import say
from daftt_core.errors import RemoteError
from daftt_core.records import visible_line

_MOST = 200


def find_schedules(remote: Remote, experiment_id: str = "", name: str = "") -> list[Any]:
    """Return recurring runs, the newest first.

    Args:
        remote: The connection.
        experiment_id: Only those of this experiment; empty: all.
        name: Only those of this name; empty: all.

    Raises:
        RemoteError: It was refused.
    """
    with remote.doing("list the recurring runs"):
        found = remote.client.list_recurring_runs(
            experiment_id=experiment_id or None,
            namespace=remote.connection.namespace or None,
            sort_by="created_at desc",
            page_size=_MOST,
            filter=equals("display_name", name) if name else None,
        ).recurring_runs
    return list(found or [])


def named_schedules(remote: Remote, name: str) -> list[Any]:
    """Return the recurring runs of a name, the newest first, or the one of an id.

    Raises:
        RemoteError: There is none, or it was refused.
    """
    everything = find_schedules(remote)
    found = [each for each in everything if name in (each.recurring_run_id, each.display_name)]
    if not found:
        known = ", ".join(sorted({each.display_name for each in everything})) or "none"
        raise RemoteError(
            f"{remote.connection.shown}: there is no recurring run {name!r} (there are: {known})"
        )
    return found


def last_run(remote: Remote, schedule: Any) -> Any:
    """Return the newest run of a recurring run; None if it had none.

    Raises:
        RemoteError: It was refused.
    """
    with remote.doing("list the runs of the recurring run"):
        runs = remote.client.list_runs(
            namespace=remote.connection.namespace or None,
            sort_by="created_at desc",
            page_size=1,
            filter=equals("recurring_run_id", schedule.recurring_run_id),
        ).runs
    return runs[0] if runs else None


def remove_idle(remote: Remote, schedules: Iterable[Any]) -> list[Any]:
    """Delete recurring runs, but none with a run in progress; those stay, and it is said.

    Kubeflow Pipelines deletes the workflows of a recurring run with it, so such a run would end at
    once and be shown as running for ever. One run at a time is made, so the newest decides.

    Args:
        remote: The connection.
        schedules: Recurring runs that are switched off.

    Raises:
        RemoteError: It was refused.

    Returns:
        Those that stay.
    """
    staying = []
    for schedule in schedules:
        run = last_run(remote, schedule)
        if run is None or run.state in ENDED:
            remote.change(
                "delete the recurring run",
                remote.client.delete_recurring_run,
                recurring_run_id=schedule.recurring_run_id,
            )
            continue
        staying.append(schedule)
        say(
            f"the recurring run {schedule.recurring_run_id} is switched off and stays until its "
            f"run {visible_line(run.display_name)} ({run.run_id}) has ended; the same command "
            "deletes it then",
            err=True,
        )
    return staying
