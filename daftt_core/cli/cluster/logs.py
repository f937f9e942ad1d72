"""``daftt logs``: how far a run on a cluster is, and what its steps have written.

Stages and their errors are read from the run's own folder, and logs from its steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from daftt_core.cli.cluster.connection import Connection, with_connection
from daftt_core.cli.cluster.remote import connect, state_of
from daftt_core.cli.cluster.remote_runs import find_run, runs_of
from daftt_core.cli.cluster.steps import remote_steps
from daftt_core.cli.printing import say
from daftt_core.errors import DafttError, RemoteError, did_you_mean
from daftt_core.records import visible_line
from daftt_core.workspace import run_statuses


@click.command("logs")
@click.argument("run")
@with_connection
@click.option("--task", default="", help="Only the log of this step, such as train-teacher.")
@click.option("--failed", is_flag=True, help="Only stages and steps that failed.")
@click.option("--tail", type=click.IntRange(min=1), help="Only so many last lines of each log.")
def logs_command(
    run: str,
    connection: Connection,
    task: str,
    failed: bool,
    tail: int | None,
) -> None:
    """Show the stages of RUN and the logs of its steps.

    RUN is an id, or a name as 'daftt runs --remote' lists it. Stages are read from the run's folder
    in the bucket, and logs from its pods, with the kubeconfig's rights; without one, they
    come from Kubeflow Pipelines. Pods and their logs are kept for about an hour after a run.

    \b
    Examples:
      daftt logs movie-reviews-1a2b3c4d --failed --tail 20
      daftt logs 0b7f6a52-5a3f-4c6c-9f0e-0d8a2b3c4d5e --task train-teacher
    """
    remote = connect(connection)
    found = find_run(remote, run)
    say(visible_line(f"{found.display_name}: {state_of(found).lower()}"))
    say(remote.run_link(found.run_id))
    for line in _stages(found, only_failed=failed):
        say(visible_line(line))
    logs = remote_steps(remote, found)
    shown = [log for log in logs if not failed or log.state == "failed"]
    if task:
        shown = [log for log in logs if log.task == task]
        if not shown:
            known = [log.task for log in logs]
            raise RemoteError(f"{run}: has no step {task!r} to show{did_you_mean(task, known)}")
    for log in shown:
        say(visible_line(f"==== {log.task} ({log.state})"))
        if log.reason:
            say(visible_line(f"error: {log.reason}"))
        for line in log.lines()[-(tail or 0) :]:
            say(line)
    if not shown:
        what = "has failed" if failed else "is left"
        say(f"no pod {what}; the logs of ended steps are artifacts named executor-logs in the UI")


def _stages(run: Any, *, only_failed: bool) -> Iterator[str]:
    """Yield a line for each stage, as the run's own folder tells."""
    try:
        for part in runs_of(run):
            for status in run_statuses(part.run):
                if status.state == "failed" or not only_failed:
                    stage = part.named(status.stage)
                    why = f": {status.message}" if status.message else ""
                    yield f"stage {stage}: {status.state}{why}"
    except DafttError as error:
        yield f"# the run's folder cannot be read from here: {error}"
