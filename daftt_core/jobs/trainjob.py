"""TrainJob, the custom resource of Kubeflow Trainer (v2)."""

from __future__ import annotations

import re
from typing import Any

from daftt_core.jobs.kinds import JobKind, JobState, read_state
from daftt_core.jobs.pods import (
    container_security,
    environment,
    metadata,
    placement,
    pod_labels,
    pod_security,
    resources,
    volume_mounts,
    volumes,
)
from daftt_core.jobs.requests import JobRequest
from daftt_core.ranks import GRACE_SECONDS

__all__ = ["TRAINJOB", "trainjob", "trainjob_mistakes"]

_CONTAINER = "node"
_JOB = "node"
_MANAGER = "daftt/launcher"
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def trainjob(request: JobRequest) -> dict[str, Any]:
    """The TrainJob for a request.

    A TrainJob has no time to live after its end, unlike a PyTorchJob: it goes with the step's pod
    that owns it, or with ``daftt reap``.
    """
    config = request.config
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": metadata(request),
        "spec": {
            "runtimeRef": {
                "apiGroup": "trainer.kubeflow.org",
                "kind": "ClusterTrainingRuntime",
                "name": config.runtime,
            },
            "trainer": {
                "image": request.image,
                "command": request.command(),
                "env": environment(request),
                "numNodes": config.nodes,
                "numProcPerNode": request.processes_per_node,
                "resourcesPerNode": resources(request),
            },
            "runtimePatches": [
                {
                    "manager": _MANAGER,
                    "trainingRuntimeSpec": {
                        "template": {"spec": {"replicatedJobs": [_replicated_job(request)]}}
                    },
                }
            ],
            "activeDeadlineSeconds": config.deadline_seconds,
            "suspend": bool(config.queue),
        },
    }


def trainjob_mistakes(manifest: dict[str, Any]) -> list[str]:
    """What Kubeflow Trainer's webhook would refuse."""
    found = []
    name = manifest["metadata"]["name"]
    if len(name) > 63 or not _DNS_1035.fullmatch(name):
        found.append(f"metadata.name: {name!r} must be a DNS-1035 label of 63 characters at most")
    if not manifest["spec"]["trainer"].get("image"):
        found.append("spec.trainer.image: is missing")
    return found


def _replicated_job(request: JobRequest) -> dict[str, Any]:
    config = request.config
    spec: dict[str, Any] = {
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        # the webhook refuses env here: it belongs into spec.trainer
        "containers": [
            {
                "name": _CONTAINER,
                "volumeMounts": volume_mounts(),
                "securityContext": container_security(),
            }
        ],
        "volumes": volumes(request),
    }
    spec |= placement(config)
    annotations = {"sidecar.istio.io/inject": "false"}
    pod = {"metadata": {"labels": pod_labels(request), "annotations": annotations}, "spec": spec}
    return {"name": _JOB, "template": {"spec": {"template": pod}}}


def _state(job: dict[str, Any]) -> JobState:
    jobs = (job.get("status") or {}).get("jobsStatus") or []
    return read_state(
        job,
        "Complete",
        suspended=bool(job["spec"].get("suspend")),
        running=lambda _: any(each.get("ready") for each in jobs),
    )


TRAINJOB = JobKind(
    name="TrainJob",
    group="trainer.kubeflow.org",
    version="v1alpha1",
    plural="trainjobs",
    container=_CONTAINER,
    provider="Kubeflow Trainer",
    first_pod={
        "jobset.sigs.k8s.io/replicatedjob-name": _JOB,
        "batch.kubernetes.io/job-completion-index": "0",
    },
    build=trainjob,
    mistakes=trainjob_mistakes,
    state=_state,
)
