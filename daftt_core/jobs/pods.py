"""What the pods of a job look like, whichever kind of job makes them."""

from __future__ import annotations

from typing import Any

from daftt_core.config import JobConfig
from daftt_core.jobs.requests import JobRequest

__all__ = [
    "DIGEST_LABEL",
    "JOB_LABEL",
    "MANAGED_BY_LABEL",
    "RESTARTS_ANNOTATION",
    "RUN_LABEL",
    "container_security",
    "environment",
    "metadata",
    "placement",
    "pod_labels",
    "pod_security",
    "resources",
    "volume_mounts",
    "volumes",
]

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
RUN_LABEL = "daftt/run"
JOB_LABEL = "daftt/job"
DIGEST_LABEL = "daftt/digest"
RESTARTS_ANNOTATION = "daftt/restarts"
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_USER = 1000


def metadata(request: JobRequest) -> dict[str, Any]:
    """Name, labels and owner of the job itself."""
    labels = pod_labels(request) | {DIGEST_LABEL: request.digest}
    if request.config.queue:
        labels[_QUEUE_LABEL] = request.config.queue
    found: dict[str, Any] = {
        "name": request.name,
        "labels": labels,
        "annotations": {RESTARTS_ANNOTATION: "0"},
    }
    if request.owner:
        found["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": request.owner.name,
                "uid": request.owner.uid,
            }
        ]
    return found


def pod_labels(request: JobRequest) -> dict[str, str]:
    """Labels by which pods and jobs are found again."""
    return {
        "app.kubernetes.io/name": "daftt",
        MANAGED_BY_LABEL: "daftt",
        RUN_LABEL: _label_value(request.run),
        "daftt/stage": _label_value(request.stage),
        JOB_LABEL: request.name,
    }


def environment(request: JobRequest) -> list[dict[str, Any]]:
    """Environment variables: plain ones, and those whose values lie in secrets."""
    plain = {
        "HOME": "/tmp",  # noqa: S108 - a volume of the pod's own
        "PYTHONUNBUFFERED": "1",
        **request.config.variables(),
    }
    found: list[dict[str, Any]] = [{"name": n, "value": v} for n, v in plain.items()]
    found += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, (secret, key) in request.config.secret_keys().items()
    ]
    return found


def resources(request: JobRequest) -> dict[str, dict[str, str]]:
    """Requests equal to limits, so that a pod is among the last to be evicted."""
    amounts = {"cpu": request.config.cpu, "memory": request.config.memory}
    if request.config.gpus_per_node:
        amounts[request.config.gpu_resource] = str(request.config.gpus_per_node)
    return {"requests": amounts, "limits": dict(amounts)}


def volumes(request: JobRequest) -> list[dict[str, Any]]:
    """Shared memory for data loaders and NCCL, and a place for files that may be lost."""
    shm = {"medium": "Memory", "sizeLimit": request.config.shm_size}
    return [{"name": "shm", "emptyDir": shm}, {"name": "scratch", "emptyDir": {}}]


def volume_mounts() -> list[dict[str, str]]:
    """Where the pod's container sees its volumes."""
    return [
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - a volume of the pod's own
        {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
    ]


def pod_security() -> dict[str, Any]:
    """What Pod Security 'restricted' asks of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """What Pod Security 'restricted' asks of a container, and a root file system left alone."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def placement(config: JobConfig) -> dict[str, Any]:
    """The parts of a pod's specification that say where it may run; empty ones are left out."""
    wanted = {
        "nodeSelector": config.labels_of_nodes(),
        "tolerations": config.tolerated(),
        "serviceAccountName": config.service_account,
    }
    return {key: value for key, value in wanted.items() if value}


def _label_value(text: str) -> str:
    """Text as a label's value may be: 63 characters, letters or digits at both ends."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in text)
    return kept[:63].strip("-_.")
