"""PyTorchJob, the custom resource of the Kubeflow Training Operator (v1)."""

from __future__ import annotations

from typing import Any

from daftt_core.jobs.kinds import JobKind, JobState, read_state
from daftt_core.jobs.pods import environment, metadata, name_mistakes, pod_template, resources
from daftt_core.jobs.requests import JobRequest

_CONTAINER = "pytorch"
_RESTART_POLICIES = ("Always", "OnFailure", "Never", "ExitCode")


def pytorchjob(request: JobRequest) -> dict[str, Any]:
    """Return the PyTorchJob for a request.

    Pods are never restarted one by one: what is left of a gang would wait for the lost one until
    a timeout. The launcher starts the whole gang again where that makes sense.
    """
    config = request.config
    replicas = {"Master": _replica(request, 1)}
    if config.nodes > 1:  # a Worker entry with 0 replicas has been seen to make a worker
        replicas["Worker"] = _replica(request, config.nodes - 1)
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": metadata(request),
        "spec": {
            "nprocPerNode": str(request.processes_per_node),
            "pytorchReplicaSpecs": replicas,
            "runPolicy": {
                "cleanPodPolicy": "Running",  # peers of a failed pod go; its log stays
                "backoffLimit": 0,
                "activeDeadlineSeconds": config.deadline_seconds,
                "ttlSecondsAfterFinished": config.ttl_seconds,
                "suspend": bool(config.queue),  # Kueue sets it free
            },
        },
    }


def pytorchjob_mistakes(manifest: dict[str, Any]) -> list[str]:
    """Return what the Training Operator's webhook refuses, or accepts and does not understand."""
    mistakes = name_mistakes(manifest)
    processes = manifest["spec"].get("nprocPerNode", "auto")
    if processes not in ("auto", "cpu", "gpu") and not str(processes).isdecimal():
        mistakes.append(f"spec.nprocPerNode: {processes!r} must be a number, auto, cpu or gpu")
    replicas = manifest["spec"]["pytorchReplicaSpecs"]
    if "Master" not in replicas:
        mistakes.append("spec.pytorchReplicaSpecs: Master is missing")
    for kind, replica in replicas.items():
        where = f"spec.pytorchReplicaSpecs.{kind}"
        if kind not in ("Master", "Worker"):
            mistakes.append(f"{where}: must be Master or Worker")
        if kind == "Master" and replica.get("replicas", 1) != 1:
            mistakes.append(f"{where}.replicas: {replica['replicas']} must be 1")
        if replica.get("restartPolicy", "Never") not in _RESTART_POLICIES:
            mistakes.append(f"{where}.restartPolicy: must be one of {', '.join(_RESTART_POLICIES)}")
        mistakes += _container_mistakes(where, replica["template"]["spec"].get("containers") or [])
    return mistakes


def _container_mistakes(where: str, containers: list[dict[str, Any]]) -> list[str]:
    mistakes = [
        f"{where}: container {each.get('name')!r} has no image"
        for each in containers
        if not each.get("image")
    ]
    if not any(each.get("name") == _CONTAINER for each in containers):
        mistakes.append(f"{where}: no container is named {_CONTAINER}")
    return mistakes


def _replica(request: JobRequest, count: int) -> dict[str, Any]:
    return {"replicas": count, "restartPolicy": "Never", "template": _pod(request)}


def _pod(request: JobRequest) -> dict[str, Any]:
    container = {
        "name": _CONTAINER,
        "image": request.image,
        "command": request.command(),
        "env": environment(request),
        "resources": resources(request),
    }
    return pod_template(request, container, priorityClassName=request.config.priority_class)


def _state(job: dict[str, Any]) -> JobState:
    suspended = bool(job["spec"].get("runPolicy", {}).get("suspend"))
    return read_state(job, "Succeeded", suspended=suspended, running=lambda true: "Running" in true)


PYTORCHJOB = JobKind(
    name="PyTorchJob",
    group="kubeflow.org",
    version="v1",
    plural="pytorchjobs",
    container=_CONTAINER,
    provider="the Kubeflow Training Operator",
    first_pod={"training.kubeflow.org/replica-type": "master"},
    pod_maker=None,
    build=pytorchjob,
    mistakes=pytorchjob_mistakes,
    state=_state,
)
