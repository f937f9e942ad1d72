"""``daftt logs``: how far a run on a cluster is, and what its steps have written.

Stages and their errors are read from the run's own folder: the list of tasks that Kubeflow
Pipelines keeps has drivers and levels of its graph in it, and falls behind in large runs. Logs come
from the pods, where a kubeconfig leads to them, and otherwise from Kubeflow Pipelines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from daftt_core.cli.cluster.remote import Connection, Remote, connect, state_of, with_connection
from daftt_core.cli.cluster.remote_runs import find_run, runs_of
from daftt_core.cli.printing import say
from daftt_core.errors import DafttError, JobError, RemoteError, did_you_mean
from daftt_core.jobs import connect_to_steps, read_steps, step_log
from daftt_core.records import visible_line
from daftt_core.workspace import run_statuses

_PATIENCE_SECONDS = 60


@click.command("logs", short_help="Show how far a run on a cluster is, and what its steps wrote.")
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
    say(remote.link(f"runs/details/{found.run_id}"))
    for line in _stages(found, only_failed=failed):
        say(visible_line(line))
    logs = _pod_logs(remote, found) or _kept_logs(remote, found)
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


@dataclass(frozen=True)
class _Log:
    """One step and how its log is read."""

    task: str
    state: str
    reason: str
    read: Any

    def lines(self) -> list[str]:
        try:
            return list(self.read())
        except DafttError as error:
            return [f"its log cannot be read: {error}"]


def _stages(run: Any, *, only_failed: bool) -> Iterator[str]:
    """Yield a line for each stage, as the run's own folder tells."""
    try:
        runs = list(runs_of(run))
        for name, one in runs:
            for status in run_statuses(one):
                if status.state == "failed" or not only_failed:
                    stage = f"{name}/{status.stage}" if name else status.stage
                    why = f": {status.message}" if status.message else ""
                    yield f"stage {stage}: {status.state}{why}"
    except DafttError as error:
        yield f"# the run's folder cannot be read from here: {error}"


def _pod_logs(remote: Remote, run: Any) -> list[_Log]:
    """Return the steps that have pods; empty where no kubeconfig leads to them."""
    try:
        cluster = connect_to_steps(remote.pod_namespace)
        steps = read_steps(cluster, run.run_id)
    except JobError as error:
        say(visible_line(f"# pods are not looked at: {error}"))
        return []
    return [
        _Log(step.name, step.state, step.reason, partial(step_log, cluster, step.pod))
        for step in steps
    ]


def _kept_logs(remote: Remote, run: Any) -> list[_Log]:
    """Return the steps that Kubeflow Pipelines lists, in the order in which they began."""
    details: Sequence[Any] = (run.run_details and run.run_details.task_details) or []
    # the graph's own nodes have no pods, and each task has a driver, which speaks for nobody
    tasks = [
        task
        for task in details
        if any(_pods(task)) and not (task.display_name or "").endswith("-driver")
    ]
    return [
        _Log(
            task.display_name,
            (task.state or "PENDING").lower(),
            (task.error and task.error.message) or "",
            partial(_kept_lines, remote, run.run_id, list(_pods(task))),
        )
        for task in sorted(tasks, key=lambda task: str(task.start_time or task.create_time or ""))
    ]


def _pods(task: Any) -> Iterator[str]:
    if task.pod_name:
        yield task.pod_name
    for child in task.child_tasks or []:
        if child.pod_name:
            yield child.pod_name


def _kept_lines(remote: Remote, run_id: str, pods: list[str]) -> Iterator[str]:
    for pod in pods:
        yield from _kept_log(remote, run_id, pod)


def _kept_log(remote: Remote, run_id: str, pod: str) -> list[str]:
    api = remote.client._run_api.api_client
    settings = api.configuration
    key = settings.get_api_key_with_prefix("authorization")
    with remote.doing(f"read the log of pod {pod}"):
        answer = api.rest_client.GET(
            f"{settings.host}/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log",
            headers={"authorization": key} if key else {},
            _request_timeout=_PATIENCE_SECONDS,
        )
    text = answer.data.decode("utf-8", errors="replace")
    if reason := _error_in(text):
        raise RemoteError(f"Kubeflow Pipelines does not have it any more ({reason})")
    return list(text.splitlines())


def _error_in(text: str) -> str:
    """Return the message of an error that is sent in the place of a log; empty for a log."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict) or not {"error", "code"} <= set(answer):
        return ""
    return " ".join(str(answer["error"]).split())[:200]
