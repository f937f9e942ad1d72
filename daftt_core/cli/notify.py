"""``daftt notify``: try out what is sent when a run ends."""

from __future__ import annotations

import json
from typing import Literal

import click

from daftt_core.cli.report import find_run, read_run
from daftt_core.notifications import (
    URL_VARIABLE,
    body_of,
    ending_of,
    example_ending,
    send,
)
from daftt_core.workspace import run_statuses

__all__ = ["notify_command"]


@click.command("notify", short_help="Try out the message about a run's end.")
@click.argument("run", metavar="[RUN]", default="")
@click.option(
    "--output",
    default="runs",
    show_default=True,
    help="Folder, or prefix in a bucket, where runs are looked for.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["webhook", "slack"]),
    default="webhook",
    show_default=True,
    help="Plain JSON, or Slack's.",
)
@click.option("--show", is_flag=True, help="Print the message and send nothing.")
def notify_command(run: str, output: str, form: Literal["webhook", "slack"], show: bool) -> None:
    """Send a test message, or with RUN the message about that run, and say whether it arrived.

    The URL is taken from the environment variable DAFTT_NOTIFY_URL, as at the end of a run with
    --notify-format webhook or slack.

    \b
    Examples:
      daftt notify --format slack
      daftt notify latest --show
    """
    ending = example_ending()
    if run:
        found = read_run(find_run(run, output))
        failed = any(status.state != "done" for status in run_statuses(found))
        ending = ending_of(found, "FAILED" if failed else "SUCCEEDED")
    if show:
        click.echo(json.dumps(body_of(ending, form), indent=1))
        return
    send(ending, form)
    click.echo(f"The server that {URL_VARIABLE} names has taken the message.")
