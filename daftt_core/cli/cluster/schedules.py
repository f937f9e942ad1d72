"""``daftt schedule list``, ``pause``, ``resume`` and ``remove``: the schedules that are there."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from daftt_core.cli.cluster.connection import Connection, with_connection
from daftt_core.cli.cluster.recurring import (
    find_schedules,
    last_run,
    named_schedules,
    remove_idle,
)
from daftt_core.cli.cluster.remote import Remote, connect, state_of, with_dry_run
from daftt_core.cli.printing import say, say_json, with_json
from daftt_core.cli.tables import new_table, show_table
from daftt_core.records import visible_line
from daftt_core.telemetry import duration

_ON = "ENABLE"


@click.command("list", short_help="List the schedules of a cluster.")
@with_connection
@with_json
def list_command(connection: Connection, as_json: bool) -> None:
    """List the recurring runs in Kubeflow Pipelines, and the last run of each.

    \b
    Examples:
      daftt schedule list
      daftt schedule list --json
    """
    remote = connect(connection)
    rows = [_fields(remote, schedule) for schedule in find_schedules(remote)]
    if as_json:
        say_json(rows)
        return
    if not rows:
        say(f"There is no schedule in {connection.shown}; make one with: daftt schedule --cron ...")
        return
    table = new_table(["schedule", "state", "cron", "last run", "id"])
    for row in rows:
        last = "none yet"
        if run := row["last_run"]:
            last = f"{run['status']}, {duration(run['age_seconds'])} ago ({run['run_id']})"
        cells = (row["name"], row["state"], row["cron"], last, row["recurring_run_id"])
        table.add_row(*map(visible_line, cells))
    show_table(table)
    say(f"The page of a schedule: {connection.link('recurringrun/details/ID')}")


def _fields(remote: Remote, schedule: Any) -> dict[str, Any]:
    cron = schedule.trigger and schedule.trigger.cron_schedule
    run = last_run(remote, schedule)
    return {
        "recurring_run_id": schedule.recurring_run_id,
        "name": schedule.display_name,
        "state": "on" if schedule.mode == _ON else "paused",
        "cron": (cron and cron.cron) or "",
        "link": remote.link(f"recurringrun/details/{schedule.recurring_run_id}"),
        "last_run": run
        and {
            "run_id": run.run_id,
            "status": state_of(run).lower(),
            "age_seconds": (datetime.now(UTC) - run.created_at).total_seconds(),
        },
    }


def _change_one(name: str, summary: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command that changes the schedule it names."""

    def add(function: Callable[..., None]) -> click.Command:
        for option in (with_dry_run, with_connection, click.argument("schedule")):
            function = option(function)
        return click.command(name, short_help=summary)(function)

    return add


@_change_one("pause", "Start no more runs of a schedule.")
def pause_command(schedule: str, connection: Connection, dry_run: bool) -> None:
    """Start no more runs of SCHEDULE, which is a name or an id; one in progress goes on.

    \b
    Examples:
      daftt schedule pause daftt
    """
    remote = connect(connection, dry_run=dry_run)
    found = named_schedules(remote, schedule)
    if not _switch_off(remote, found):
        say(f"{visible_line(schedule)}: is paused already")
    elif not dry_run:
        name = visible_line(schedule)
        say(f"{name}: paused; go on with: daftt schedule resume {shlex.quote(name)}")


@_change_one("resume", "Start runs of a paused schedule again.")
def resume_command(schedule: str, connection: Connection, dry_run: bool) -> None:
    """Start runs of SCHEDULE again, which is a name or an id; missed times are not caught up.

    Of several with the name, the newest is resumed: the others were replaced by it.

    \b
    Examples:
      daftt schedule resume daftt
    """
    remote = connect(connection, dry_run=dry_run)
    found = named_schedules(remote, schedule)
    if any(each.mode == _ON for each in found):
        say(f"{visible_line(schedule)}: is on already")
        return
    remote.change(
        "switch on the recurring run",
        remote.client.enable_recurring_run,
        recurring_run_id=found[0].recurring_run_id,
    )
    if not dry_run:
        page = remote.link(f"recurringrun/details/{found[0].recurring_run_id}")
        say(f"{visible_line(schedule)}: resumed\n{page}")


@_change_one("remove", "Remove a schedule; a run in progress goes on.")
def remove_command(schedule: str, connection: Connection, dry_run: bool) -> None:
    """Remove SCHEDULE, which is a name or an id.

    While a run of it is in progress, it is switched off and stays, as the run would be deleted with
    it; the same command removes it when the run has ended. Runs that have ended stay.

    \b
    Examples:
      daftt schedule remove daftt
    """
    remote = connect(connection, dry_run=dry_run)
    found = named_schedules(remote, schedule)
    _switch_off(remote, found)
    if not remove_idle(remote, found) and not dry_run:
        say(f"{visible_line(schedule)}: removed")


def _switch_off(remote: Remote, schedules: list[Any]) -> bool:
    """Switch off those that are on; whether there was one."""
    on = [schedule for schedule in schedules if schedule.mode == _ON]
    for schedule in on:
        remote.change(
            "switch off the recurring run",
            remote.client.disable_recurring_run,
            recurring_run_id=schedule.recurring_run_id,
        )
    return bool(on)
