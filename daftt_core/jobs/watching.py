"""Waiting for one job until it is over, by looking at it every few seconds.

A watch would have to be renewed and caught up with whenever it expires; a look is always complete.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from daftt_core.errors import JobError
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.diagnosis import describe, ended_by_cluster, failed_pods, holdups
from daftt_core.jobs.kinds import JobKind, JobState
from daftt_core.jobs.kubernetes import RefusedError
from daftt_core.jobs.logs import PodLog
from daftt_core.jobs.pods import JOB_LABEL
from daftt_core.jobs.requests import JobRequest
from daftt_core.telemetry import duration, log


@dataclass(frozen=True)
class Ending:
    """How a job ended.

    Attributes:
        succeeded: Whether it did what it was to do.
        interrupted: What of the cluster's doing ended it, if so; another try may succeed.
        report: Everything known about its failure.
    """

    succeeded: bool
    interrupted: str = ""
    report: str = ""


class JobWatch:
    """Waits for one job.

    Args:
        cluster: The cluster.
        kind: The kind of job.
        request: What was asked for.
        uid: The job's identity; another one of the same name is not this one.
        pod_log: Shows the job's log.
        poll_seconds: Between two looks.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: JobKind,
        request: JobRequest,
        uid: str,
        pod_log: PodLog,
        poll_seconds: float,
    ) -> None:
        self._cluster, self._kind, self._request = cluster, kind, request
        self._uid, self._log, self._poll_seconds = uid, pod_log, poll_seconds
        self._waiting_since = time.monotonic()
        self._started = False
        self._alive: dict[str, str] = {}  # uids and names of the pods that were at work
        self._said = ""
        self._pods_unreadable = False

    def until_over(self) -> Ending:
        """Wait.

        Raises:
            JobError: The job was deleted, or its pods have not started in time.
        """
        while True:
            ending = self._look()
            if ending is not None:
                return ending
            time.sleep(self._poll_seconds)

    def _look(self) -> Ending | None:
        # The pods first: what the job says is then never older than what was seen of its pods.
        pods = self._pods()
        job = self._cluster.get(self._kind, self._request.name)
        if job is None or job["metadata"]["uid"] != self._uid or _is_leaving(job):
            raise JobError(
                f"{self._kind.name} {self._request.name} was deleted while it was at work; "
                "run the pipeline again to go on from its last checkpoint"
            )
        state = self._kind.state(job)
        self._log.look(pods)
        if state.phase in ("succeeded", "failed"):
            return self._over(state)
        if state.phase == "suspended":
            self._say(f"queued: {state.message or 'waiting to be admitted'}")
            self._waiting_since, self._started = time.monotonic(), False
            self._alive.clear()
            return None
        lost = self._lost(pods)
        if lost:
            return Ending(False, f"pod {lost} has vanished", f"pod {lost} has vanished")
        self._wait_for_start(state, pods)
        return None

    def _over(self, state: JobState) -> Ending:
        pods = self._pods()
        self._log.look(pods)
        if state.phase == "succeeded":
            return Ending(True)
        report = describe(self._cluster, self._kind, self._request.name, state, pods)
        by_cluster = ended_by_cluster(failed_pods(pods))
        if "deadline" in f"{state.reason} {state.message}".lower():
            by_cluster = None  # its pods are killed too, and another try would be as long
        return Ending(False, str(by_cluster or ""), report)

    def _wait_for_start(self, state: JobState, pods: list[dict[str, Any]]) -> None:
        phases = [(pod.get("status") or {}).get("phase", "Pending") for pod in pods]
        complete = len(pods) >= self._request.config.nodes or self._pods_unreadable
        if state.phase == "running" and complete and "Pending" not in phases:
            self._started = True
        if self._started:
            self._say("running")
            return
        waited = time.monotonic() - self._waiting_since
        reasons = holdups(pods)
        self._say("; ".join(reasons) or f"waiting for its pods to start ({len(pods)} so far)")
        if waited > self._request.config.start_timeout_seconds:
            self._give_up(state, pods, waited)

    def _give_up(self, state: JobState, pods: list[dict[str, Any]], waited: float) -> None:
        name = self._request.name
        nothing = f"nothing was heard from {self._kind.provider}; is it at work?"
        reason = "" if pods or state.phase != "waiting" else nothing
        never = JobState("failed", f"not started within {duration(waited)}", reason)
        report = describe(self._cluster, self._kind, name, never, pods)
        self._cluster.delete(self._kind, name, self._uid)  # or it would start later, unseen
        raise JobError(report)

    def _lost(self, pods: list[dict[str, Any]]) -> str:
        """A pod that was at work and is no longer there, without the job being over."""
        present = {pod["metadata"]["uid"] for pod in pods}
        lost = [name for uid, name in self._alive.items() if uid not in present]
        self._alive |= {
            pod["metadata"]["uid"]: pod["metadata"]["name"]
            for pod in pods
            if (pod.get("status") or {}).get("phase") == "Running"
        }
        return lost[0] if lost and not self._pods_unreadable else ""

    def _pods(self) -> list[dict[str, Any]]:
        if self._pods_unreadable:
            return []
        try:
            return self._cluster.pods(f"{JOB_LABEL}={self._request.name}")
        except RefusedError as error:
            if error.status != 403:
                raise
            self._pods_unreadable = True
            log.warning("pods and their logs cannot be shown: %s", error)
            return []

    def _say(self, what: str) -> None:
        if what != self._said:
            self._said = what
            log.info("%s %s: %s", self._kind.name, self._request.name, what)


def _is_leaving(job: dict[str, Any]) -> bool:
    return bool(job["metadata"].get("deletionTimestamp"))
