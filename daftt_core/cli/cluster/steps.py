"""The steps of a run on a cluster: from their pods, or from what Kubeflow Pipelines keeps.

The list of tasks that Kubeflow Pipelines keeps has drivers and levels of its graph in it, and falls
behind in large runs, so pods are asked first, where a kubeconfig leads to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from daftt_core.cli.cluster.remote import Remote
from daftt_core.cli.printing import say
from daftt_core.errors import DafttError, JobError, RemoteError
from daftt_core.jobs import connect_to_steps, read_steps, step_log
from daftt_core.records import visible_line

_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class RemoteStep:
    """A step of a run.

    Attributes:
        task: Its name, such as ``train-teacher``.
        state: What it is doing, in lower case, such as ``pending`` or ``failed``.
        reason: Why it failed or does not start; empty if neither.
        read: Reads its log.
    """

    task: str
    state: str
    reason: str
    read: Callable[[], Iterable[str]]

    def lines(self) -> list[str]:
        """Return its log, or a line that says why it cannot be read."""
        try:
            return list(self.read())
        except DafttError as error:
            return [f"its log cannot be read: {error}"]


def remote_steps(remote: Remote, run: Any) -> list[RemoteStep]:
    """Return the steps of a run, in the order in which they began.

    Args:
        remote: The connection.
        run: The run, as Kubeflow Pipelines returns it.
    """
    return _from_pods(remote, run) or _from_kubeflow(remote, run)


def _from_pods(remote: Remote, run: Any) -> list[RemoteStep]:
    """Return the steps that have pods; empty where no kubeconfig leads to them."""
    try:
        cluster = connect_to_steps(remote.pod_namespace)
        steps = read_steps(cluster, run.run_id)
    except JobError as error:
        say(visible_line(f"# pods are not looked at: {error}"), err=True)
        return []
    return [
        RemoteStep(step.name, step.state, step.reason, partial(step_log, cluster, step.pod))
        for step in steps
    ]


def _from_kubeflow(remote: Remote, run: Any) -> list[RemoteStep]:
    """Return the steps that Kubeflow Pipelines lists, in the order in which they began."""
    details: Sequence[Any] = (run.run_details and run.run_details.task_details) or []
    # the graph's own nodes have no pods, and each task has a driver, which speaks for nobody
    tasks = [
        task
        for task in details
        if any(_pods(task)) and not (task.display_name or "").endswith("-driver")
    ]
    return [
        RemoteStep(
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
