"""``daftt logs``: what the tasks of a run on a cluster have said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

from daftt_core.cli.cluster.remote import Connection, Remote, connect, equals, with_connection
from daftt_core.cli.printing import say
from daftt_core.errors import RemoteError, did_you_mean
from daftt_core.records import visible_line

_PATIENCE_SECONDS = 60
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@click.command("logs", short_help="Show what the tasks of a run on a cluster said.")
@click.argument("run")
@with_connection
@click.option("--task", default="", help="Only this task, such as train-teacher.")
@click.option("--failed", is_flag=True, help="Only tasks that failed.")
@click.option("--tail", type=click.IntRange(min=1), help="Only so many last lines of each task.")
def logs_command(
    run: str,
    host: str,
    namespace: str,
    token: str,
    ca_cert: str,
    task: str,
    failed: bool,
    tail: int | None,
) -> None:
    """Show what the tasks of RUN said: an id, or a name as 'daftt runs --remote' lists it.

    \b
    Examples:
      daftt logs movie-reviews-1a2b3c4d --failed --tail 20
      daftt logs 0b7f6a52-5a3f-4c6c-9f0e-0d8a2b3c4d5e --task train-teacher
    """
    remote = connect(Connection(host, namespace, token, ca_cert))
    found = _find(remote, run)
    tasks = [each for each in _tasks(found) if not failed or each.state == "FAILED"]
    if task:
        known = [each.display_name for each in tasks]
        tasks = [each for each in tasks if each.display_name == task]
        if not tasks:
            raise RemoteError(f"{run}: has no task {task!r} to show{did_you_mean(task, known)}")
    for each in tasks:
        say(visible_line(f"==== {each.display_name} ({(each.state or 'PENDING').lower()})"))
        if each.error and each.error.message:
            say(f"error: {each.error.message}")
        for pod in _pods(each):
            for line in _lines(remote, found.run_id, pod)[-(tail or 0) :]:
                say(line)
    if not tasks:
        say(f"{run}: no task {'has failed' if failed else 'has begun'}")


def _find(remote: Remote, run: str) -> Any:
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


def _tasks(run: Any) -> list[Any]:
    """The tasks that have pods, in the order in which they began."""
    details = (run.run_details and run.run_details.task_details) or []
    # the graph's own nodes have no pods, and each task has a driver, which speaks for nobody
    shown = [
        each
        for each in details
        if any(_pods(each)) and not (each.display_name or "").endswith("-driver")
    ]
    return sorted(shown, key=lambda each: str(each.start_time or each.create_time or ""))


def _pods(task: Any) -> Iterator[str]:
    if task.pod_name:
        yield task.pod_name
    for child in task.child_tasks or []:
        if child.pod_name:
            yield child.pod_name


def _lines(remote: Remote, run_id: str, pod: str) -> list[str]:
    api = remote.client._run_api.api_client
    settings = api.configuration
    key = settings.get_api_key_with_prefix("authorization")
    with remote.doing(f"read the log of pod {pod} (kubectl logs {pod} may still have it)"):
        answer = api.rest_client.GET(
            f"{settings.host}/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log",
            headers={"authorization": key} if key else {},
            _request_timeout=_PATIENCE_SECONDS,
        )
    return list(answer.data.decode("utf-8", errors="replace").splitlines())
