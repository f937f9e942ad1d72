"""Why a job failed: what became of its pods, and whether it is worth another try.

A pod is ended by the cluster (evicted, preempted, deleted, its node lost, out of memory, killed) or
by its own program. One such pod makes its peers fail too, and theirs then look like a program's
error, so the cluster's doing counts wherever it is found.

The training operator counts a running pod that is being deleted as failed, and fails the job within
a second; then it deletes the peers that still run, or they exit because a connection was closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from daftt_core.jobs.cluster import Cluster, event_time
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
_DELETED = "deleted, by somebody or by a drain of its node"
_REPLICA_LABEL = "training.kubeflow.org/replica-type"
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
        deleted: When its deletion was requested, in the same form; empty if it was not.
        replica: ``master`` or ``worker``; empty where the job makes no difference.
    """

    pod: str
    reason: str
    exit_code: int | None
    certain: bool
    finished: str
    deleted: str = ""
    replica: str = ""

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


def interruption(
    pods: list[dict[str, Any]], gone: list[dict[str, Any]], failed_replicas: set[str]
) -> str:
    """Return what of the cluster's doing made a job fail; empty where it was its own program.

    A pod that has failed by itself stays, and so does what it ended with; one that is gone was
    deleted, or was cleaned up after another one had failed.

    Args:
        pods: The job's pods.
        gone: Those that are gone, as they were last seen.
        failed_replicas: The kinds of pods of which the job says that some failed; empty where it
            makes no difference.
    """
    ends = failed_pods([*pods, *gone])
    certain = next((end for end in ends if end.certain), None)
    if certain:
        return str(certain)
    suspects = [end for end in ends if not failed_replicas or end.replica in failed_replicas]
    failed = [end for end in suspects if end.exit_code and not end.deleted]
    deleted = sorted((end for end in suspects if end.deleted), key=lambda end: end.deleted)
    # one that was deleted after another had failed was only cleaned up
    if deleted and (not failed or deleted[0].deleted < failed[0].finished):
        return str(replace(deleted[0], reason=_DELETED))
    if gone and not failed:
        return f"pod {gone[0]['metadata']['name']}: {_DELETED}"
    # A pod that was merely killed, or that was told to end and has stored its checkpoint, counts
    # only if it was the first to end. Times are whole seconds, and cleaning up takes longer.
    first = [end for end in ends if end.finished == ends[0].finished]
    return str(next((e for e in first if e.exit_code in _KILLED and not e.deleted), ""))


def holdups(pods: list[dict[str, Any]]) -> list[str]:
    """Return what keeps pods from starting, as far as the pods say it themselves."""
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
    job: dict[str, Any],
    state: JobState,
    pods: list[dict[str, Any]],
) -> str:
    """Return everything that helps to understand a failed job, for its error.

    Condition, reason, how its pods ended, the last warnings about it, and the end of their logs.
    """
    name = job["metadata"]["name"]
    said = ": ".join(filter(None, (state.reason, state.message))) or "no reason is given"
    lines = [f"{kind.name} {name} failed: {said}"]
    ends = failed_pods(pods)
    lines += [str(end) for end in ends]
    lines += holdups(pods)
    shown = {end.pod for end in ends[:_SHOWN_PODS]}
    failed = [pod for pod in pods if pod["metadata"]["name"] in shown]
    lines += warnings_about(cluster, kind, job, failed or pods)
    for pod in failed:
        tail = last_lines(cluster, pod["metadata"]["name"], _failed_container(pod, kind.container))
        lines += [f"the log of pod {pod['metadata']['name']} ends with:"]
        lines += [f"    {line}" for line in tail]
    return "\n".join(lines)


def _failed_container(pod: dict[str, Any], main: str) -> str:
    """Return the init container that failed, or the main one."""
    inits = (pod.get("status") or {}).get("initContainerStatuses") or []
    failed = _first_failed(inits)
    return str(failed.get("name", main)) if failed else main


def _end(pod: dict[str, Any], memory_setting: str) -> PodEnd | None:
    metadata, status = pod["metadata"], pod.get("status") or {}
    failed, deleted = _first_failed(_containers(status)), _deleted(metadata)
    terminated = failed["state"]["terminated"] if failed else None
    disrupted = next(
        (
            condition
            for condition in status.get("conditions") or []
            if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True"
        ),
        None,
    )
    if not (status.get("phase") == "Failed" or terminated or deleted or disrupted):
        return None
    code = terminated.get("exitCode") if terminated else None
    reason, certain = _reason(status, terminated, disrupted, memory_setting)
    return PodEnd(
        pod=metadata["name"],
        reason=reason,
        exit_code=code,
        certain=certain,
        finished=(terminated or {}).get("finishedAt") or "",
        deleted=deleted,
        replica=(metadata.get("labels") or {}).get(_REPLICA_LABEL, ""),
    )


def _reason(
    status: dict[str, Any],
    terminated: dict[str, Any] | None,
    disrupted: dict[str, Any] | None,
    memory_setting: str,
) -> tuple[str, bool]:
    """Return why a pod ended, and whether the cluster says itself that it ended it."""
    if disrupted:
        return disrupted.get("reason", "disrupted"), True
    if status.get("reason") in _CLUSTER_REASONS:
        message = status.get("message", "").strip()
        return (f"{status['reason']}: {message}" if message else status["reason"]), True
    terminated = terminated or {}
    if terminated.get("reason") == "OOMKilled":
        return f"OOMKilled: it used more than {memory_setting}", True
    killed = _KILLED.get(terminated.get("exitCode") or 0)
    own = "; ".join((terminated.get("message") or "").split("\n")).strip("; ")
    reasons = (killed, status.get("reason"), own, terminated.get("reason"))
    return next((reason for reason in reasons if reason), "failed"), False


def _deleted(metadata: dict[str, Any]) -> str:
    """Return when the deletion of an object was requested; empty if it was not.

    Its time stamp is when it has to be gone, which is later by its grace.
    """
    if not metadata.get("deletionTimestamp"):
        return ""
    gone = datetime.fromisoformat(metadata["deletionTimestamp"])
    asked = gone - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return f"{asked.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _first_failed(containers: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the first container that ended with an error."""
    for container in containers:
        terminated = (container.get("state") or {}).get("terminated")
        if terminated and terminated.get("exitCode") != 0:
            return container
    return None


def _containers(status: dict[str, Any]) -> list[dict[str, Any]]:
    inits = status.get("initContainerStatuses") or []
    return [*inits, *(status.get("containerStatuses") or [])]


def _holdup(pod: dict[str, Any], said: dict[str, Any]) -> str:
    words = ": ".join(filter(None, (said.get("reason"), said.get("message"))))
    return f"pod {pod['metadata']['name']} does not start: {words}"


def warnings_about(
    cluster: Cluster, kind: JobKind, job: dict[str, Any], pods: list[dict[str, Any]]
) -> list[str]:
    """Return the last warnings among the events about a job, what makes its pods, and pods."""
    try:
        events = [
            event for each in (job, *pods) for event in cluster.events(each["metadata"]["uid"])
        ]
        if kind.pod_maker:
            maker, suffix = kind.pod_maker
            name, created = job["metadata"]["name"] + suffix, job["metadata"]["creationTimestamp"]
            events += cluster.events_about(maker, name, since=created)
    except RefusedError as error:
        return [f"events cannot be read: {error}"]
    warnings = [event for event in events if event.get("type") == "Warning"]
    warnings.sort(key=event_time)
    return [
        f"event about {event['involvedObject']['name']}: {event.get('reason')}: "
        f"{event.get('message', '').strip()}"
        for event in warnings[-_SHOWN_EVENTS:]
    ]


def never_heals(warning: str) -> bool:
    """Tell whether what a warning says stays as it is, however long a job waits for its pods."""
    return "forbidden" in warning and "exceeded quota" not in warning
