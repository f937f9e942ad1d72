"""The pods of a pipeline's own steps: what became of them, and what they wrote."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from daftt_core.errors import JobError
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.diagnosis import failed_pods, holdups
from daftt_core.jobs.kubernetes import Patience, connect
from daftt_core.telemetry import log

RUN_LABEL = "pipeline/runid"
"""Kubeflow Pipelines puts it on every pod of a run."""

_PATIENCE = Patience(total_seconds=10.0, unauthorized_seconds=0.0, read_seconds=10.0)
_SHOWN = 3
_FUNCTION = "--function_to_execute"


def why_steps_died() -> str:
    """Return what the cluster says of steps of this pod's run that failed or did not start.

    It is empty outside a cluster, and where nothing is known: the pods may not be listed, or
    nothing is wrong with them. A step that failed by its own program is among them.
    """
    name = os.environ.get("KFP_POD_NAME", "")
    if not name:
        return ""
    try:
        cluster = connect_to_steps()
        own = cluster.pod(name) or {}
        run = (own.get("metadata", {}).get("labels") or {}).get(RUN_LABEL)
        pods = cluster.pods(f"{RUN_LABEL}={run}") if run else []
    except JobError as error:
        log.debug("the pods of this run cannot be listed: %s", error)
        return ""
    others = [pod for pod in pods if pod["metadata"]["name"] != name]
    ends = [str(end) for end in failed_pods(others, "cluster_memory")]
    return "; ".join((holdups(others) + ends)[:_SHOWN])


@dataclass(frozen=True)
class Step:
    """A pod in which a component of a pipeline runs.

    Attributes:
        name: The component's, such as ``train-teacher``.
        pod: The pod's.
        state: What it is doing: ``pending``, ``running``, ``succeeded`` or ``failed``.
        reason: Why it failed or does not start; empty if neither.
    """

    name: str
    pod: str
    state: str
    reason: str


def read_steps(cluster: Cluster, run_id: str) -> list[Step]:
    """Return the steps of a run that have pods, in the order in which they were created.

    Drivers are among them only where they failed.

    Args:
        cluster: The cluster, in the namespace of the pods.
        run_id: The run's id in Kubeflow Pipelines.

    Raises:
        JobError: The cluster cannot be reached, or pods may not be listed.
    """
    pods = cluster.pods(f"{RUN_LABEL}={run_id}")
    pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp", ""))
    steps = [_step(pod) for pod in pods]
    return [step for step in steps if step.state == "failed" or step.name != step.pod]


def _step(pod: dict[str, Any]) -> Step:
    name = pod["metadata"]["name"]
    reasons = [str(end) for end in failed_pods([pod], "cluster_memory")] + holdups([pod])
    state = str(pod.get("status", {}).get("phase", "Pending")).lower()
    return Step(_component(pod) or name, name, state, "; ".join(reasons))


def _component(pod: dict[str, Any]) -> str:
    """Return the component that a pod runs, which its command names; empty for a driver."""
    for container in pod.get("spec", {}).get("containers") or []:
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        if _FUNCTION in words[:-1]:
            return str(words[words.index(_FUNCTION) + 1]).replace("_", "-")
    return ""


def step_log(cluster: Cluster, pod: str) -> list[str]:
    """Return what a step's program wrote.

    Raises:
        JobError: It cannot be read.
    """
    lines = cluster.log_lines(pod, "main")
    return [line.partition(" ")[2] for line in lines]  # each begins with its time


def connect_to_steps(namespace: str = "") -> Cluster:
    """Return the cluster of a pipeline's steps, which is not waited for long.

    Args:
        namespace: Where the pods are; empty takes that of this pod, or of the kubeconfig.

    Raises:
        JobError: No cluster is known.
    """
    return Cluster(connect(_PATIENCE), namespace)
