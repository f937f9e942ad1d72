"""What pods of a run ask for, against the nodes and quotas that a cluster has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daftt_core.cli.checks import Check
from daftt_core.cli.cluster.kube import KubeReader, refusal_status
from daftt_core.cli.local.launch import compiled_pipeline, read_pipeline
from daftt_core.config import Config
from daftt_core.jobs.kubernetes import amount

_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")
_NODES = "/api/v1/nodes"


@dataclass(frozen=True)
class _Pod:
    """What one kind of pod asks for.

    Attributes:
        name: What runs in it.
        requests: Amounts by resource, as Kubernetes writes them.
        selector: Labels that its node must have.
        setting: The settings that say so.
    """

    name: str
    requests: dict[str, str]
    selector: dict[str, str]
    setting: str


def capacity_checks(api: KubeReader, config: Config, namespace: str) -> Iterator[Check]:
    """Yield whether each kind of pod fits a node, and the quotas of the namespace."""
    answer = api.get(_NODES)
    quotas = api.get(f"/api/v1/namespaces/{namespace}/resourcequotas").get("items") or []
    for pod in _pods(config):
        asks = ", ".join(f"{value} {name}" for name, value in pod.requests.items())
        if refusal_status(answer):
            finding = f"cannot be told: you may not list nodes; it asks for {asks}"
            yield Check(f"pods of {pod.name}", False, finding, "kubectl get nodes", needed=False)
            continue
        reason = _misfit(pod, answer.get("items") or []) or _over_quota(pod, quotas)
        fix = "" if not reason else f"add nodes or quota, or ask for less with {pod.setting}"
        yield Check(f"pods of {pod.name}", not reason, reason or f"{asks}: fits a node", fix)


def _pods(config: Config) -> Iterator[_Pod]:
    cluster, job = config.cluster, config.job
    light = {"cpu": cluster.light_cpus, "memory": cluster.light_memory}
    yield _Pod("light steps", light, {}, "cluster_light_cpus, cluster_light_memory")
    gpus = max(cluster.gpus, cluster.teacher_gpus)
    model = {"cpu": cluster.cpus, "memory": cluster.memory}
    model |= {cluster.gpu_resource: str(gpus)} if gpus else {}
    setting = "cluster_cpus, cluster_memory, cluster_gpus, cluster_teacher_gpus"
    yield _Pod("model steps", model, cluster.node_selector, setting)
    if job.launcher != "local":
        trains = {"cpu": job.cpus, "memory": job.memory}
        trains |= {job.gpu_resource: str(job.gpus)} if job.gpus else {}
        yield _Pod("the teacher's job", trains, job.node_selector, "job_cpus, job_memory, job_gpus")


def _misfit(pod: _Pod, nodes: list[dict[str, Any]]) -> str:
    """Return why no node can take a pod; empty where one can."""
    chosen = [node for node in nodes if pod.selector.items() <= _labels(node).items()]
    if not chosen:
        return f"no node has the labels {pod.selector}"
    for name, value in pod.requests.items():
        most = max(amount(_allocatable(node).get(name, "0")) for node in chosen)
        if most < amount(value):
            return f"asks for {value} {name}, and no node it may run on has more than {most:g}"
    if not any(_fits(pod, node) for node in chosen):
        return "no single node has all that it asks for"
    return ""


def _fits(pod: _Pod, node: dict[str, Any]) -> bool:
    there = _allocatable(node)
    return all(amount(there.get(name, "0")) >= amount(v) for name, v in pod.requests.items())


def _over_quota(pod: _Pod, quotas: list[dict[str, Any]]) -> str:
    """Return which quota a single pod exceeds; empty where it exceeds none."""
    for quota in quotas:
        hard = quota.get("status", {}).get("hard") or quota.get("spec", {}).get("hard") or {}
        for name, value in pod.requests.items():
            for key in (name, f"requests.{name}", f"limits.{name}"):
                if key in hard and amount(hard[key]) < amount(value):
                    which = quota.get("metadata", {}).get("name", "")
                    return f"asks for {value} {name}, and the quota {which} allows {hard[key]}"
    return ""


def _labels(node: dict[str, Any]) -> dict[str, str]:
    return dict(node.get("metadata", {}).get("labels") or {})


def _allocatable(node: dict[str, Any]) -> dict[str, str]:
    return dict(node.get("status", {}).get("allocatable") or {})


def image_checks(api: KubeReader, namespace: str) -> Iterator[Check]:
    """Yield for each image of the pipeline whether it is on a node, or could not be pulled."""
    on_nodes = {
        name
        for node in api.get(_NODES).get("items") or []
        for image in node.get("status", {}).get("images") or []
        for name in image.get("names") or []  # a dangling image has null
    }
    failing = _failing_images(api, namespace)
    for image in _pipeline_images(compiled_pipeline()):
        pull = (
            f"kubectl -n {namespace} run daftt-pull --rm -i --restart=Never "
            f"--image={image} --command -- true"
        )
        if any(known == image or known.endswith(f"/{image}") for known in on_nodes):
            yield Check(f"image {image}", True, "is on a node")
        elif image in failing:
            yield Check(f"image {image}", False, f"could not be pulled: {failing[image]}", pull)
        else:
            finding = "is on no node yet; whether it can be pulled shows only when it is"
            yield Check(f"image {image}", False, finding, pull, needed=False)


def _failing_images(api: KubeReader, namespace: str) -> dict[str, str]:
    """Return images that pods wait for in vain, and what is said about each."""
    pods = api.get(f"/api/v1/namespaces/{namespace}/pods").get("items") or []
    return {
        status["image"]: f"{waiting['reason']} {waiting.get('message', '')}".strip()
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses") or []
        if (waiting := status.get("state", {}).get("waiting") or {}).get("reason") in _NOT_PULLED
    }


def _pipeline_images(path: Path) -> list[str]:
    executors = read_pipeline(path)["deploymentSpec"]["executors"].values()
    return sorted({executor["container"]["image"] for executor in executors})
