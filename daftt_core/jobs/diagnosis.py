"""Why a job failed: what became of its pods, and whether it is worth another try.

A pod is ended by the cluster (evicted, preempted, its node lost, out of memory, killed) or by its
own program. One such pod makes its peers fail too, and theirs then look like a program's error, so
the cluster's doing counts wherever it is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.kinds import JobKind, JobState
from daftt_core.jobs.kubernetes import RefusedError
from daftt_core.jobs.logs import last_lines

_CLUSTER_REASONS = {
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "NodeShutdown",
    "OutOfcpu",
    "OutOfmemory",
    "Preempting",
    "Shutdown",
    "Terminated",
    "UnexpectedAdmissionError",
}
_KILLED = {137: "killed (SIGKILL)", 143: "told to end (SIGTERM)"}
_SHOWN_PODS = 3
_SHOWN_EVENTS = 8


@dataclass(frozen=True)
class PodEnd:
    """How a pod ended that did not succeed.

    Attributes:
        pod: Its name.
        reason: In a word or a few.
        exit_code: Of its container; None where it never got that far.
        certain: Whether the cluster says itself that it ended the pod.
        finished: When, as the cluster writes times; empty where unknown.
    """

    pod: str
    reason: str
    exit_code: int | None
    certain: bool
    finished: str

    def __str__(self) -> str:
        code = "" if self.exit_code is None else f", exit code {self.exit_code}"
        return f"pod {self.pod}: {self.reason}{code}"


def failed_pods(pods: list[dict[str, Any]], memory_setting: str = "job_memory") -> list[PodEnd]:
    """Return how the pods ended that failed, the first to end first.

    Args:
        pods: The pods.
        memory_setting: The setting that gives them their memory.
    """
    ends = [_end(pod, memory_setting) for pod in pods]
    return sorted((end for end in ends if end), key=lambda end: end.finished or "9")


def ended_by_cluster(ends: list[PodEnd]) -> PodEnd | None:
    """The pod that the cluster ended, if that is why the job failed.

    A pod that was merely killed, or that was told to end and has stored its checkpoint, counts only
    if it was the first to end: once one has failed by itself, the rest are ended to clean up. Times
    are whole seconds, and cleaning up takes longer.
    """
    certain = next((end for end in ends if end.certain), None)
    first = [end for end in ends if end.finished == ends[0].finished]
    return certain or next((end for end in first if end.exit_code in _KILLED), None)


def holdups(pods: list[dict[str, Any]]) -> list[str]:
    """What keeps pods from starting, as far as the pods say it themselves."""
    found = []
    for pod in pods:
        status = pod.get("status") or {}
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                found.append(_holdup(pod, condition))
        for container in _containers(status):
            waiting = (container.get("state") or {}).get("waiting")
            if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
                found.append(_holdup(pod, waiting))
    return found


def describe(
    cluster: Cluster,
    kind: JobKind,
    name: str,
    state: JobState,
    pods: list[dict[str, Any]],
) -> str:
    """Everything that helps to understand a failed job, for its error.

    Condition, reason, how its pods ended, the last warnings about it, and the end of their logs.
    """
    said = ": ".join(filter(None, (state.reason, state.message))) or "no reason is given"
    lines = [f"{kind.name} {name} failed: {said}"]
    ends = failed_pods(pods)
    lines += [str(end) for end in ends]
    lines += holdups(pods)
    shown = [end.pod for end in ends][:_SHOWN_PODS]
    lines += _warnings(cluster, [name, *(shown or [p["metadata"]["name"] for p in pods])])
    for pod in shown:
        tail = last_lines(cluster, kind, pod)
        lines += [f"the log of pod {pod} ends with:", *(f"    {line}" for line in tail)]
    return "\n".join(lines)


def _end(pod: dict[str, Any], memory_setting: str) -> PodEnd | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    terminated = _first_failure(status)
    if status.get("phase") != "Failed" and terminated is None:
        return None
    code = terminated.get("exitCode") if terminated else None
    finished = (terminated or {}).get("finishedAt") or ""
    disrupted = next(
        (
            each
            for each in status.get("conditions") or []
            if each.get("type") == "DisruptionTarget" and each.get("status") == "True"
        ),
        None,
    )
    if disrupted:
        return PodEnd(name, disrupted.get("reason", "disrupted"), code, True, finished)
    if status.get("reason") in _CLUSTER_REASONS:
        message = status.get("message", "").strip()
        reason = f"{status['reason']}: {message}" if message else status["reason"]
        return PodEnd(name, reason, code, True, finished)
    if terminated and terminated.get("reason") == "OOMKilled":
        return PodEnd(name, f"OOMKilled: it used more than {memory_setting}", code, True, finished)
    reason = _KILLED.get(code or 0) or status.get("reason") or (terminated or {}).get("reason")
    return PodEnd(name, reason or "failed", code, False, finished)


def _first_failure(status: dict[str, Any]) -> dict[str, Any] | None:
    for container in _containers(status):
        terminated = (container.get("state") or {}).get("terminated")
        if terminated and terminated.get("exitCode") != 0:
            found: dict[str, Any] = terminated
            return found
    return None


def _containers(status: dict[str, Any]) -> list[dict[str, Any]]:
    inits = status.get("initContainerStatuses") or []
    return [*inits, *(status.get("containerStatuses") or [])]


def _holdup(pod: dict[str, Any], said: dict[str, Any]) -> str:
    words = ": ".join(filter(None, (said.get("reason"), said.get("message"))))
    return f"pod {pod['metadata']['name']} does not start: {words}"


def _warnings(cluster: Cluster, names: list[str]) -> list[str]:
    """The last warnings among the events about these objects."""
    found = []
    for name in names:
        try:
            events = cluster.events(name)
        except RefusedError as error:
            return [f"events cannot be read: {error}"]
        found += [
            (event.get("lastTimestamp") or event.get("eventTime") or "", name, event)
            for event in events
            if event.get("type") == "Warning"
        ]
    found.sort(key=lambda item: item[:2])
    return [
        f"event about {name}: {event.get('reason')}: {event.get('message', '').strip()}"
        for _, name, event in found[-_SHOWN_EVENTS:]
    ]
