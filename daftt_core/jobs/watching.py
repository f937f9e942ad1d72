"""Waiting for one job until it is over, by looking at it every few seconds.

A watch would have to be renewed and caught up with whenever it expires; a look is always complete.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from daftt_core.errors import JobError
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.diagnosis import (
    describe,
    holdups,
    interruption,
    never_heals,
    warnings_about,
)
from daftt_core.jobs.kinds import JobKind, JobState
from daftt_core.jobs.kubernetes import RefusedError
from daftt_core.jobs.logs import PodLog
from daftt_core.jobs.ownership import heartbeat
from daftt_core.jobs.pods import JOB_LABEL
from daftt_core.jobs.requests import JobRequest
from daftt_core.telemetry import duration, log

_LOOK_AT_EVENTS_SECONDS = 15.0
_LOOK_AT_QUEUE_SECONDS = 60.0
_HEARTBEAT_SECONDS = 300.0
_QUEUED = "waiting to be admitted"
_UNMANAGED = (  # it makes one at once; since 0.19 its default configuration leaves out PyTorchJobs
    "Kueue has made no Workload for it: Kueue must be installed, and its configuration must have "
    "this kind of job in integrations.frameworks"
)
_RESTARTING = (
    "job_runtime {}: it restarts pods one by one, while their peers wait; use one that does not, "
    "as k8s/components/training-runtime has it"
)


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
        request: The job that was requested.
        job: The job; another one of the same name is not this one.
        pod_log: Shows the job's log.
        poll_seconds: Between two looks.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: JobKind,
        request: JobRequest,
        job: dict[str, Any],
        pod_log: PodLog,
        poll_seconds: float,
    ) -> None:
        self._cluster, self._kind, self._request = cluster, kind, request
        self._uid, self._created = job["metadata"]["uid"], job["metadata"]["creationTimestamp"]
        self._log, self._poll_seconds = pod_log, poll_seconds
        self._waiting_since = time.monotonic()
        self._started = False
        self._alive: dict[str, str] = {}  # uids and names of the pods that were at work
        self._seen: dict[str, dict[str, Any]] = {}  # each pod by its uid, as it was last seen
        self._said = ""
        self._pods_unreadable = False
        self._looks_at_events = 0
        self._queued = False
        self._looks_at_queue, self._in_queue, self._queue_says = 0, True, _QUEUED
        self._last_heartbeat = time.monotonic()  # the launcher has just written one

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
                "run the pipeline again to resume from its last checkpoint"
            )
        state = self._kind.state(job)
        self._log.look(pods)
        if state.phase in ("succeeded", "failed"):
            return self._over(state, job)
        self._show_that_it_is_waited_for()
        if state.phase == "suspended":
            if not self._queued:
                self._queued, self._started, self._looks_at_queue = True, False, 0
                self._waiting_since = time.monotonic()
            self._alive.clear()
            self._seen.clear()
            self._wait_in_queue(state, job)
            return None
        if self._queued:
            self._queued, self._waiting_since = False, time.monotonic()
        lost = self._lost(pods)
        if lost:
            return Ending(False, f"pod {lost} has vanished", f"pod {lost} has vanished")
        self._wait_for_start(state, pods, job)
        return None

    def _show_that_it_is_waited_for(self) -> None:
        """Write a heartbeat, where a step waits: the step may die while its run goes on."""
        now = time.monotonic()
        if self._request.step is None or now < self._last_heartbeat + _HEARTBEAT_SECONDS:
            return
        self._last_heartbeat = now
        with suppress(RefusedError):  # the next look tells what became of the job
            change = {"annotations": heartbeat(self._request)}
            self._cluster.change(self._kind, self._request.name, change)

    def _over(self, state: JobState, job: dict[str, Any]) -> Ending:
        self._log.look(self._pods())
        if state.phase == "succeeded":
            return Ending(True)
        # at a deadline pods are killed too, and another try would take as long
        overdue = "deadline" in f"{state.reason} {state.message}".lower()
        interrupted = "" if overdue else self._interruption(job)
        pods = self._pods()
        self._log.look(pods)
        report = describe(self._cluster, self._kind, job, state, pods)
        return Ending(False, interrupted, report)

    def _interruption(self, job: dict[str, Any]) -> str:
        """Return what of the cluster's doing ended the job; empty where it was its own program.

        A pod that is being deleted still stores its checkpoint: whether its program failed can
        be told when it has ended. One that has not begun its program says nothing more.
        """
        replicas = (job.get("status") or {}).get("replicaStatuses") or {}
        failed = {name.lower() for name, each in replicas.items() if each.get("failed")}
        deadline = time.monotonic() + self._request.config.grace_seconds
        while True:
            pods = self._pods()
            at_work = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
            if not at_work or time.monotonic() > deadline:
                present = {pod["metadata"]["uid"] for pod in pods}
                gone = [pod for uid, pod in self._seen.items() if uid not in present]
                return interruption(pods, gone, failed)
            time.sleep(self._poll_seconds)

    def _wait_for_start(
        self, state: JobState, pods: list[dict[str, Any]], job: dict[str, Any]
    ) -> None:
        if any((pod.get("spec") or {}).get("restartPolicy", "Never") != "Never" for pod in pods):
            runtime = self._request.config.runtime
            self._give_up(state, pods, job, _RESTARTING.format(runtime))
        phases = [(pod.get("status") or {}).get("phase", "Pending") for pod in pods]
        complete = len(pods) >= self._request.config.nodes or self._pods_unreadable
        if state.phase == "running" and complete and "Pending" not in phases:
            self._started = True
        if self._started:
            self._say("running")
            return
        waited = time.monotonic() - self._waiting_since
        reasons = holdups(pods)
        if not complete and waited > _LOOK_AT_EVENTS_SECONDS * (self._looks_at_events + 1):
            self._looks_at_events += 1
            warnings = warnings_about(self._cluster, self._kind, job, [])
            reasons += warnings
            if any(map(never_heals, warnings)):
                self._give_up(state, pods, job, "its pods are refused")
        self._say("; ".join(reasons) or f"waiting for its pods to start ({len(pods)} so far)")
        if waited > self._request.config.start_timeout_seconds:
            self._give_up(state, pods, job, f"not started within {duration(waited)}")

    def _wait_in_queue(self, state: JobState, job: dict[str, Any]) -> None:
        """Wait to be admitted, which has no clock; unless no queue will ever do so."""
        waited = time.monotonic() - self._waiting_since
        if waited > _LOOK_AT_QUEUE_SECONDS * (self._looks_at_queue + 1):
            self._looks_at_queue += 1
            self._in_queue, self._queue_says = self._look_at_queue()
        self._say(f"queued: {self._queue_says}")
        if not self._in_queue and waited > self._request.config.start_timeout_seconds:
            self._give_up(state, [], job, self._queue_says)

    def _look_at_queue(self) -> tuple[bool, str]:
        """Return whether the job is in a queue, as far as is known, and what the queue says."""
        try:
            workload = self._cluster.workload(self._uid)
        except RefusedError as error:
            return True, f"what the queue says cannot be read: {error}"
        if workload is None:
            return False, _UNMANAGED
        for condition in (workload.get("status") or {}).get("conditions") or []:
            if condition.get("type") == "QuotaReserved" and condition.get("status") == "False":
                message = condition.get("message", "")
                return "doesn't exist" not in message, message  # LocalQueue x doesn't exist
        return True, _QUEUED

    def _give_up(
        self, state: JobState, pods: list[dict[str, Any]], job: dict[str, Any], why: str
    ) -> None:
        nothing = f"nothing was heard from {self._kind.provider}; is it at work?"
        reason = nothing if state.phase == "waiting" and not job.get("status") else ""
        never = JobState("failed", why, reason)
        report = describe(self._cluster, self._kind, job, never, pods)
        self._cluster.delete(self._kind, self._request.name, self._uid)  # or it would start later
        raise JobError(report)

    def _lost(self, pods: list[dict[str, Any]]) -> str:
        """Return a pod that ran and is no longer there, without the job being over."""
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
            found = self._cluster.pods(f"{JOB_LABEL}={self._request.name}")
        except RefusedError as error:
            if error.status != 403:
                raise
            self._pods_unreadable = True
            log.warning("pods and their logs cannot be shown: %s", error)
            return []
        # without those that an earlier job of the name has left behind
        pods = [pod for pod in found if pod["metadata"]["creationTimestamp"] >= self._created]
        self._seen |= {pod["metadata"]["uid"]: pod for pod in pods}
        return pods

    def _say(self, what: str) -> None:
        if what != self._said:
            self._said = what
            log.info("%s %s: %s", self._kind.name, self._request.name, what)


def _is_leaving(job: dict[str, Any]) -> bool:
    return bool(job["metadata"].get("deletionTimestamp"))
