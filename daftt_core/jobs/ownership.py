"""What a job goes with, and whether anybody still waits for it.

A job that a step asks for goes with the workflow of the run, not with the step's pod: where a pod
is deleted or drained away, Argo begins the step again, and the new one adopts the job. As long as a
step waits for its job it writes a heartbeat, since it may die for good while its run goes on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from daftt_core.errors import JobError
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.kubernetes import RefusedError
from daftt_core.jobs.requests import JobRequest
from daftt_core.network import within
from daftt_core.telemetry import log

_HEARTBEAT_ANNOTATION = "daftt/waited-for"
_SILENT_MINUTES = 30
"""The least time that a job is kept for a step that is begun again, and may wait for a node."""
_LOOK_SECONDS = 0.5
_POD, _WORKFLOW = "Pod", "Workflow"
_OVER = {"Succeeded", "Failed", "Error"}


def owners(cluster: Cluster, request: JobRequest) -> list[dict[str, Any]]:
    """Return the owner references of a job: the workflow of the step that asks for it.

    Where that is not known, it is the step's pod. There is none outside a step, and none for a job
    in another namespace, where an owner counts as gone, and the job would go at once.

    Args:
        cluster: The cluster, in the namespace of the step.
        request: The request.
    """
    step = request.step
    if step is None or request.config.namespace:
        return []
    try:
        pod = cluster.pod(step.name) or {}
        reason = "it has no workflow as its owner"
    except RefusedError as error:
        pod, reason = {}, str(error)
    for owner in pod.get("metadata", {}).get("ownerReferences") or []:
        if owner["kind"] == _WORKFLOW:
            return [{key: owner[key] for key in ("apiVersion", "kind", "name", "uid")}]
    log.warning("the job ends with the pod of this step, and not with its run: %s", reason)
    return [{"apiVersion": "v1", "kind": _POD, "name": step.name, "uid": step.uid}]


def outlives_its_step(cluster: Cluster, request: JobRequest, manifest: dict[str, Any]) -> bool:
    """Tell whether a job goes on although its step is told to end.

    It does where the step's pod is being deleted, by somebody or by a drain of its node. A run that
    is terminated ends its pods by a signal alone.

    Args:
        cluster: The cluster, in the namespace of the step.
        request: The request.
        manifest: The job's.
    """
    step = request.step
    if step is None or any(o["kind"] == _POD for o in manifest["metadata"]["ownerReferences"]):
        return False
    try:
        pod = within(_LOOK_SECONDS, lambda: cluster.pod(step.name))
    except (JobError, TimeoutError):
        return False
    # one that is gone was deleted by force
    return pod is None or bool(pod["metadata"].get("deletionTimestamp"))


def heartbeat(request: JobRequest) -> dict[str, str | None]:
    """Return the annotation that says that a step waits for a job now; without a value outside."""
    return {_HEARTBEAT_ANNOTATION: _time(datetime.now(UTC)) if request.step else None}


def orphaned(cluster: Cluster, job: dict[str, Any]) -> str:
    """Return why nobody waits for a job; empty where somebody does, or where that is not known.

    It is not known of a job that was started outside a step.

    Args:
        cluster: The cluster, in the namespace of the job.
        job: The job, which is not over.
    """
    metadata = job["metadata"]
    for reference in metadata.get("ownerReferences") or []:
        if reference["kind"] not in (_POD, _WORKFLOW):
            continue
        noun = "its step" if reference["kind"] == _POD else "its run"
        try:
            owner = cluster.owner(reference)
        except RefusedError as error:
            log.warning("whether %s, %s, is over is not known: %s", noun, reference["name"], error)
            continue
        if owner is None:
            return f"{noun}, {reference['name']}, is gone"
        phase = (owner.get("status") or {}).get("phase")
        if phase in _OVER:
            return f"{noun}, {reference['name']}, has ended: {phase}"
    since = (metadata.get("annotations") or {}).get(_HEARTBEAT_ANNOTATION, "")
    if since and since < _time(datetime.now(UTC) - timedelta(minutes=_SILENT_MINUTES)):
        return f"no step has waited for it since {since}"
    return ""


def _time(moment: datetime) -> str:
    """Return a time in the form in which Kubernetes writes it; later ones sort behind."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
