"""Running a request, as the settings ask: as a process here, or as a job in the cluster.

In the cluster: submit or adopt, wait, start again where it helps.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, Protocol

from daftt_core.config import JobConfig
from daftt_core.errors import JobError
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.kinds import JobKind
from daftt_core.jobs.kubernetes import RefusedError, connect
from daftt_core.jobs.local import LocalLauncher
from daftt_core.jobs.logs import PodLog
from daftt_core.jobs.ownership import heartbeat, outlives_its_step, owners
from daftt_core.jobs.pods import DIGEST_LABEL, JOB_LABEL, RESTARTS_ANNOTATION
from daftt_core.jobs.pytorchjob import PYTORCHJOB
from daftt_core.jobs.requests import JobRequest
from daftt_core.jobs.trainjob import TRAINJOB
from daftt_core.jobs.watching import JobWatch
from daftt_core.telemetry import log

_CONFLICT = 409
KINDS = {"pytorchjob": PYTORCHJOB, "trainjob": TRAINJOB}
"""The kinds of jobs a cluster may run, by the name of their launcher."""


class Launcher(Protocol):
    """A way to run a request."""

    def launch(self, request: JobRequest) -> None:
        """Run the request; returns once it has succeeded and raises JobError when it fails."""


class ClusterLauncher:
    """Runs requests as jobs of one kind.

    Args:
        cluster: The cluster.
        kind: The kind of job.
        poll_seconds: Between two looks at a job.
        deletion_seconds: How long a deleted job may take to be gone, beyond its pods' grace.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: JobKind,
        poll_seconds: float = 5.0,
        deletion_seconds: float = 300.0,
    ) -> None:
        self._cluster, self._kind = cluster, kind
        self._poll_seconds, self._deletion_seconds = poll_seconds, deletion_seconds
        self._uid = ""  # of the job that is waited for

    def launch(self, request: JobRequest) -> None:
        """Run the request as a job and wait until it has succeeded.

        A job of the same request that is at work already is adopted. One that the cluster has
        interrupted is started again as a whole, ``max_restarts`` times at most; its program goes
        on from its last checkpoint. When this process is told to end, so is the job, unless only
        the pod of this step is taken away: then the step that is begun again adopts the job.

        Raises:
            JobError: The job failed, could not be created, or was deleted.
        """
        manifest = self._kind.build(request)
        mistakes = self._kind.mistakes(manifest)
        if mistakes:
            raise JobError("\n".join(mistakes))
        manifest["metadata"]["ownerReferences"] = owners(self._cluster.home, request)
        with _told_to_end():
            try:
                job = self._submit(request, manifest)
                self._until_success(request, manifest, job)
            except _ToldToEndError:  # there may be no more than a second
                name = f"{self._kind.name} {request.name}"
                if outlives_its_step(self._cluster.home, request, manifest):
                    ending = f"{name} goes on, and is adopted when the step is begun again"
                    raise JobError(f"the pod of this step is being deleted; {ending}") from None
                if self._uid:
                    self._cluster.delete(self._kind, request.name, self._uid)
                raise JobError(f"the step was told to end, so {name} was deleted") from None

    def _until_success(
        self, request: JobRequest, manifest: dict[str, Any], job: dict[str, Any]
    ) -> None:
        pod_log = PodLog(self._cluster, self._kind)
        while True:
            self._uid = uid = job["metadata"]["uid"]
            watch = JobWatch(self._cluster, self._kind, request, job, pod_log, self._poll_seconds)
            ending = watch.until_over()
            if ending.succeeded:
                log.info("%s %s: succeeded", self._kind.name, request.name)
                return
            restarts = _restarts(job) + 1
            if not ending.interrupted:
                raise JobError(ending.report)
            if restarts > request.config.max_restarts:
                raise JobError(
                    f"{ending.report}\nit was started again {restarts - 1} times already, and "
                    f"job_max_restarts is {request.config.max_restarts}"
                )
            log.warning("%s; starting all pods again (%d)", ending.interrupted, restarts)
            self._remove(request, uid)
            manifest["metadata"]["annotations"][RESTARTS_ANNOTATION] = str(restarts)
            job = self._submit(request, manifest)

    def _submit(self, request: JobRequest, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create the job, or adopt the one that this very request has made before."""
        name = request.name
        if request.step:
            manifest["metadata"]["annotations"] |= heartbeat(request)
        while True:
            try:
                job = self._cluster.create(self._kind, manifest)
            except RefusedError as error:
                if error.status != _CONFLICT:
                    raise
            else:
                self._uid = job["metadata"]["uid"]
                log.info("%s %s: created in %s", self._kind.name, name, self._cluster.namespace)
                return job
            existing = self._cluster.get(self._kind, name)
            if existing is None:
                continue
            if (existing["metadata"].get("labels") or {}).get(DIGEST_LABEL) != request.digest:
                raise JobError(
                    f"{self._kind.name} {name} exists in {self._cluster.namespace} already, and "
                    "was made with other settings; delete it, or give the run another name"
                )
            uid = existing["metadata"]["uid"]
            if existing["metadata"].get("deletionTimestamp"):
                self._wait_until_gone(request, uid)
            elif self._kind.state(existing).phase == "failed":
                log.info("%s %s: failed before; it is created again", self._kind.name, name)
                self._remove(request, uid)
            else:
                log.info("%s %s: already there; adopted", self._kind.name, name)
                change = {  # or it would go with the run that made it
                    "ownerReferences": manifest["metadata"]["ownerReferences"],
                    "annotations": heartbeat(request),
                }
                self._cluster.change(self._kind, name, change)
                return existing

    def _remove(self, request: JobRequest, uid: str) -> None:
        self._cluster.delete(self._kind, request.name, uid)
        self._wait_until_gone(request, uid)

    def _wait_until_gone(self, request: JobRequest, uid: str) -> None:
        """Wait until the job and its pods are gone: two gangs must never write at the same time.

        The pods go before a PyTorchJob, but may outlast a TrainJob.

        Raises:
            JobError: It takes too long.
        """
        name = request.name
        deadline = time.monotonic() + request.config.grace_seconds + self._deletion_seconds
        while time.monotonic() < deadline:
            job = self._cluster.get(self._kind, name)
            if (job is None or job["metadata"]["uid"] != uid) and not self._pods(request):
                return
            time.sleep(self._poll_seconds)
        raise JobError(
            f"{self._kind.name} {name} was deleted but does not go; a pod on a lost node or a "
            "finalizer may hold it: look at it with kubectl describe"
        )

    def _pods(self, request: JobRequest) -> list[dict[str, Any]]:
        try:
            return self._cluster.pods(f"{JOB_LABEL}={request.name}")
        except RefusedError:  # they may not be listed
            return []


class _ToldToEndError(BaseException):
    """SIGTERM; no handler of ordinary errors may catch it."""


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Raise when this process is told to end; only a main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def tell(_number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would leave the job behind
        raise _ToldToEndError

    before = signal.signal(signal.SIGTERM, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _restarts(job: dict[str, Any]) -> int:
    return int((job["metadata"].get("annotations") or {}).get(RESTARTS_ANNOTATION, 0))


def launcher_for(config: JobConfig) -> Launcher:
    """Return the launcher that the settings name.

    Raises:
        JobError: There is no cluster to be found.
    """
    return _LAUNCHERS[config.launcher](config)


def _in_cluster(kind: JobKind) -> Callable[[JobConfig], Launcher]:
    return lambda config: ClusterLauncher(Cluster(connect(), config.namespace), kind)


_LAUNCHERS: dict[str, Callable[[JobConfig], Launcher]] = {
    "local": lambda _: LocalLauncher(),
    **{name: _in_cluster(kind) for name, kind in KINDS.items()},
}
