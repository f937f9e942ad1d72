"""What the pods of a job look like, whichever kind of job makes them."""

from __future__ import annotations

import re
from typing import Any

from daftt_core.config import JobConfig
from daftt_core.jobs.requests import JobRequest

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
RUN_LABEL = "daftt/run"
JOB_LABEL = "daftt/job"
DIGEST_LABEL = "daftt/digest"
RESTARTS_ANNOTATION = "daftt/restarts"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_USER = 1000
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_END_SECONDS = 30  # of the grace period, for what comes after the checkpoint


def metadata(request: JobRequest) -> dict[str, Any]:
    """Return name and labels of the job itself."""
    labels = _labels(request) | {DIGEST_LABEL: request.digest}
    if request.config.queue:
        labels[QUEUE_LABEL] = request.config.queue
    return {
        "name": request.name,
        "labels": labels,
        "annotations": {RESTARTS_ANNOTATION: "0"},
    }


def name_mistakes(manifest: dict[str, Any]) -> list[str]:
    """Return what every controller would refuse about a job's name: it becomes a service's."""
    name = manifest["metadata"]["name"]
    if len(name) <= 63 and _DNS_1035.fullmatch(name):
        return []
    return [f"metadata.name: {name!r} must be a DNS-1035 label of 63 characters at most"]


def pod_template(request: JobRequest, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return the template of a job's pods.

    Args:
        request: The request.
        container: Its one container's name, and whatever only this kind of job says about it.
        spec: More of the pod's specification; what is empty is left out.
    """
    config = request.config
    wanted = {
        "securityContext": _pod_security(),
        "containers": [
            {
                **container,
                "volumeMounts": _volume_mounts(),
                "securityContext": _container_security(),
            }
        ],
        "volumes": _volumes(config),
        "terminationGracePeriodSeconds": config.grace_seconds,
        "nodeSelector": config.node_selector,
        "tolerations": config.tolerations,
        "serviceAccountName": config.service_account,
        **spec,
    }
    annotations = {"sidecar.istio.io/inject": "false"}  # a sidecar would keep the pod alive
    return {
        "metadata": {"labels": _labels(request), "annotations": annotations},
        "spec": {key: value for key, value in wanted.items() if value},
    }


def _labels(request: JobRequest) -> dict[str, str]:
    """Return the labels by which pods and jobs are found again."""
    return {
        "app.kubernetes.io/name": "daftt",
        MANAGED_BY_LABEL: "daftt",
        RUN_LABEL: label_value(request.run),
        "daftt/stage": label_value(request.stage),
        JOB_LABEL: request.name,
    }


def environment(request: JobRequest) -> list[dict[str, Any]]:
    """Return the environment variables: plain ones, and those whose values are in secrets.

    How many nodes and processes there are, and where they meet, torchrun reads from the ``PET_``
    variables that the job's controller adds.
    """
    plain = {
        "HOME": "/tmp",  # noqa: S108 - a volume of the pod's own, where caches go
        "USER": "daftt",  # an image need not know user 1000 by name; torch asks for one
        "PYTHONUNBUFFERED": "1",
        # torchrun kills what has not ended 30 s after it was told to
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(request.config.grace_seconds - _END_SECONDS),
        **request.config.variables(),
    }
    built: list[dict[str, Any]] = [{"name": n, "value": v} for n, v in plain.items()]
    built += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, (secret, key) in request.config.secret_keys().items()
    ]
    return built


def resources(request: JobRequest) -> dict[str, dict[str, str]]:
    """Return requests equal to limits, so that a pod is among the last to be evicted."""
    amounts = {"cpu": request.config.cpus, "memory": request.config.memory}
    if request.config.gpus:
        amounts[request.config.gpu_resource] = str(request.config.gpus)
    return {"requests": amounts, "limits": dict(amounts)}


def _volumes(config: JobConfig) -> list[dict[str, Any]]:
    """Return shared memory for data loaders and NCCL, and a volume for files that may be lost."""
    shm = {"medium": "Memory", "sizeLimit": config.shm_size}
    return [{"name": "shm", "emptyDir": shm}, {"name": "scratch", "emptyDir": {}}]


def _volume_mounts() -> list[dict[str, str]]:
    """Return where the pod's container sees its volumes."""
    return [
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - a volume of the pod's own
        {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
    ]


def _pod_security() -> dict[str, Any]:
    """Return what Pod Security 'restricted' requires of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "fsGroup": _USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container_security() -> dict[str, Any]:
    """Return what Pod Security 'restricted' requires of a container, and a read-only root."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def label_value(text: str) -> str:
    """Return text as a label's value may be: 63 characters, letters or digits at both ends."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in text)
    return kept[:63].strip("-_.")
