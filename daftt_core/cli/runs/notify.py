"""``daftt notify``: try out what is sent when a run ends."""

from __future__ import annotations

from typing import Literal

import click

from daftt_core.cli.printing import say, say_json
from daftt_core.cli.runs.report import find_run, read_run
from daftt_core.cli.runs.stored_runs import read_stored_run
from daftt_core.errors import ConfigError
from daftt_core.notifications import URL_VARIABLE, Ending, body_of, ending_of, example_ending, send


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
    ending = _ending(find_run(run, output)) if run else example_ending()
    if show:
        say_json(body_of(ending, form))
        return
    send(ending, form)
    say(f"The server that {URL_VARIABLE} names has taken the message.")


def _ending(uri: str) -> Ending:
    """How the run in a folder or bucket has ended.

    Raises:
        ConfigError: It has not.
        StorageError: It cannot be read.
    """
    run, stored = read_run(uri), read_stored_run(uri)
    if stored and stored.status == "failed":
        return ending_of(run, "FAILED", stored.headline)
    if stored and stored.status == "done":
        return ending_of(run, "SUCCEEDED")
    state = f"is {stored.status}" if stored else "does not say how far it is"
    raise ConfigError(f"{uri}: {state}; there is no message before a run has ended")
