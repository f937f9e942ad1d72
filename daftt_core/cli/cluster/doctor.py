"""``daftt doctor --cluster``: what a cluster lacks for a run, and what mends it.

It asks the Kubernetes API alone, as the kubeconfig's user or, with a service account's name, as
that account (which is what the pods of a run are). It changes nothing but one small object in the
run's storage, which it writes, reads and deletes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from daftt_core.cli.checks import Check
from daftt_core.cli.local.launch import compiled_pipeline
from daftt_core.config import Config
from daftt_core.errors import JobError, StorageError
from daftt_core.jobs.kubernetes import Patience, RefusedError, connect
from daftt_core.storage import open_storage

_PATIENCE = Patience(total_seconds=5.0, unauthorized_seconds=0.0, read_seconds=15.0)
_OPERATOR = (
    "kubectl apply --server-side -k "
    "'github.com/kubeflow/training-operator.git/manifests/overlays/standalone?ref=v1.9.4'"
)
_TRAINER = (
    "kubectl apply --server-side -k "
    "'github.com/kubeflow/trainer.git/manifests/overlays/manager?ref=VERSION' && "
    "kubectl apply --server-side -k "
    "'github.com/kubeflow/trainer.git/manifests/overlays/runtimes?ref=VERSION'"
)
_APIS = (
    # group and version, resource, launcher, mended by
    ("kubeflow.org/v1", "pytorchjobs", "pytorchjob", _OPERATOR),
    ("trainer.kubeflow.org/v1alpha1", "trainjobs", "trainjob", _TRAINER),
)
_KUEUE = "kueue.x-k8s.io"
_INSTALL_KUEUE = (
    "kubectl apply --server-side -f "
    "https://github.com/kubernetes-sigs/kueue/releases/download/VERSION/manifests.yaml"
)
_RIGHTS = (
    # group, resource, subresource, verbs
    ("", "pods", "", ("get", "list")),
    ("", "pods", "log", ("get",)),
    ("", "events", "", ("list",)),
)
_JOB_VERBS = ("create", "get", "list", "patch", "delete")
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")


@dataclass(frozen=True)
class Asked:
    """What the doctor is to look at.

    Attributes:
        config: Settings of the run: its storage, GPUs and secrets.
        namespace: Where the pods run.
        service_account: As whom they run; empty: the kubeconfig's user is looked at.
        queue: Kueue's queue that jobs go to; empty: the one that the settings name.
    """

    config: Config
    namespace: str
    service_account: str = ""
    queue: str = ""


def cluster_checks(asked: Asked) -> list[Check]:
    """Look at everything that a run needs of the cluster."""
    try:
        api = _Api(asked)
        version = api.version()
    except JobError as error:
        sentence = str(error)
        if isinstance(error, RefusedError) and error.status == 401:
            sentence = "the API server does not know you (401): log in to the cluster again"
        mend = "kubectl config get-contexts; kubectl config use-context NAME"
        return [Check("Kubernetes", False, sentence, mend)]
    return [
        Check("Kubernetes", True, version),
        *_resources(api, asked.config),
        _kueue(api),
        *_rights(api, asked),
        *_secrets(api, asked),
        _bucket(asked.config.run.output),
        _gpus(api, asked.config),
        *_queue(api, asked),
        *_images(api, asked),
    ]


class _Api:
    """What the checks ask of the Kubernetes API."""

    def __init__(self, asked: Asked) -> None:
        self._client = connect(_PATIENCE)
        self._as = {}
        if asked.service_account:
            user = f"system:serviceaccount:{asked.namespace}:{asked.service_account}"
            self._as = {"Impersonate-User": user}

    def version(self) -> str:
        """Return the version of the cluster.

        Raises:
            JobError: Nothing answers, or the credentials are refused.
        """
        return str(self._client.request("GET", "/version").get("gitVersion", "answers"))

    def get(self, path: str) -> dict[str, Any]:
        """Return an object; ``{"refused": STATUS}`` where it is refused.

        Raises:
            JobError: Nothing answers.
        """
        try:
            return self._client.request("GET", path)
        except RefusedError as error:
            return {"refused": error.status}

    def may(self, namespace: str, attributes: dict[str, str]) -> bool | None:
        """Tell whether an action is allowed; None where that cannot be told."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": namespace, **attributes}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        try:
            answer = self._client.request("POST", path, body=review, headers=self._as)
        except RefusedError:
            return None
        status = answer.get("status")
        return bool(status.get("allowed")) if isinstance(status, dict) else None


def _refused(answer: dict[str, Any]) -> int:
    """Return the status of a refusal; 0 for an answer."""
    return int(answer.get("refused", 0))


def _launcher(config: Config) -> str:
    """The kind of job that trains the teacher; a local one may become a PyTorchJob."""
    return "trainjob" if config.job.launcher == "trainjob" else "pytorchjob"


def _resources(api: _Api, config: Config) -> Iterator[Check]:
    for version, resource, launcher, mend in _APIS:
        found = api.get(f"/apis/{version}").get("resources", [])
        ok = any(each.get("name") == resource for each in found)
        said = f"served as {version}" if ok else f"{version} is not served"
        yield Check(
            f"CRD {resource}", ok, said, "" if ok else mend, needed=launcher == _launcher(config)
        )


def _kueue(api: _Api) -> Check:
    version = _served_version(api, _KUEUE)
    if version:
        return Check("CRD localqueues", True, f"served as {version}")
    said = f"no version of {_KUEUE} is served"
    return Check("CRD localqueues", False, said, _INSTALL_KUEUE, needed=False)


def _served_version(api: _Api, group: str) -> str:
    """Group and version in which the cluster prefers a group's objects; empty for none."""
    preferred = api.get(f"/apis/{group}").get("preferredVersion") or {}
    return str(preferred.get("groupVersion", ""))


def _rights(api: _Api, asked: Asked) -> Iterator[Check]:
    space, account = asked.namespace, asked.service_account or "pipeline-runner"
    jobs = next(
        (version.partition("/")[0], resource, "", _JOB_VERBS)
        for version, resource, launcher, _ in _APIS
        if launcher == _launcher(asked.config)
    )
    for group, resource, sub, verbs in (jobs, *_RIGHTS):
        name = f"{resource}/{sub}" if sub else resource
        attributes = {"group": group, "resource": resource} | ({"subresource": sub} if sub else {})
        allowed = {verb: api.may(space, {**attributes, "verb": verb}) for verb in verbs}
        if None in allowed.values():
            note = f"cannot be told: you may not act as {account}"
            mend = (
                f"kubectl auth can-i --list -n {space} --as system:serviceaccount:{space}:{account}"
            )
            yield Check(f"right to {name}", False, note, mend, needed=False)
            continue
        lacking = [verb for verb, may in allowed.items() if not may]
        role = f"daftt-{name.replace('/', '-')}"
        full = f"{resource}.{group}" if group else name
        mend = (
            f"kubectl -n {space} create role {role} --verb={','.join(verbs)} --resource={full} && "
            f"kubectl -n {space} create rolebinding {role} --role={role} "
            f"--serviceaccount={space}:{account}"
        )
        said = f"no {', '.join(lacking)}" if lacking else ", ".join(verbs)
        yield Check(f"right to {name}", not lacking, said, mend if lacking else "")


def _secrets(api: _Api, asked: Asked) -> Iterator[Check]:
    pods, job = asked.config.cluster, asked.config.job
    yield _secret(api, asked.namespace, pods.hub_secret, "token", "private models")
    if pods.pull_secret:
        made_by = f"docker-registry {pods.pull_secret} --from-file=DOCKER_CONFIG_FILE"
        yield _secret(api, asked.namespace, pods.pull_secret, ".dockerconfigjson", "", made_by)
    for name, key in job.secret_keys().values():
        yield _secret(api, job.namespace or asked.namespace, name, key)


def _secret(
    api: _Api, space: str, name: str, key: str, only_for: str = "", made_by: str = ""
) -> Check:
    """Whether a secret has a key.

    Args:
        api: The cluster.
        space: Namespace of the secret.
        name: Name of the secret.
        key: The key.
        only_for: What it is for, where a run may do without.
        made_by: The end of the command that makes it.
    """
    answer = api.get(f"/api/v1/namespaces/{space}/secrets/{name}")
    refused = _refused(answer)
    if not refused and key in answer.get("data", {}):
        return Check(f"secret {name}", True, f"has {key}")
    said = {404: "is missing", 403: "cannot be told: you may not read secrets"}.get(
        refused, f"cannot be read ({refused})" if refused else f"has no key {key!r}"
    )
    made_by = made_by or f"generic {name} --from-file={key}={key.upper()}_FILE"
    needed = not only_for and refused != 403
    return Check(
        f"secret {name}",
        False,
        f"{said}; needed for {only_for} only" if only_for else said,
        f"kubectl -n {space} create secret {made_by}",
        needed=needed,
    )


def _bucket(output: str) -> Check:
    if "://" not in output:
        mend = "daftt doctor --cluster --output gs://BUCKET/daftt"
        return Check("storage", False, f"{output!r} would be a folder of a single pod", mend)
    try:
        open_storage(output).check_writable()
    except StorageError as error:
        return Check("storage", False, str(error), f"gcloud storage buckets describe {output}")
    return Check("storage", True, f"{output}: written, read and deleted from this machine")


def _gpus(api: _Api, config: Config) -> Check:
    kind, pods = config.cluster.gpu_resource, config.cluster
    wanted = max(pods.gpus, pods.teacher_gpus)
    answer = api.get("/api/v1/nodes")
    if _refused(answer):
        said = f"cannot be told: you may not list nodes; a pod wants {wanted}"
        return Check(f"GPUs ({kind})", False, said, "kubectl get nodes", needed=False)
    selector = pods.node_selector.items()
    nodes = [n for n in answer.get("items", []) if selector <= _labels(n).items()]
    each = [int(n.get("status", {}).get("allocatable", {}).get(kind, 0)) for n in nodes]
    said = f"{sum(each)} allocatable on {sum(map(bool, each))} nodes; a pod wants {wanted}"
    ok = max(each, default=0) >= wanted
    if not nodes and pods.node_selector:
        ok, said = False, f"no node has the labels {pods.node_selector}"
    mend = "" if ok else "add nodes with GPUs, or: daftt submit --cluster-gpus 0"
    return Check(f"GPUs ({kind})", ok, said, mend)


def _labels(node: dict[str, Any]) -> dict[str, str]:
    return dict(node.get("metadata", {}).get("labels") or {})


def _queue(api: _Api, asked: Asked) -> Iterator[Check]:
    queue = asked.queue or asked.config.job.queue
    if not queue:
        return
    name, space = f"queue {queue}", asked.config.job.namespace or asked.namespace
    version = _served_version(api, _KUEUE)
    if not version:
        yield Check(name, False, "Kueue is not installed", _INSTALL_KUEUE)
        return
    answer = api.get(f"/apis/{version}/namespaces/{space}/localqueues/{queue}")
    if refused := _refused(answer):
        said = "is missing" if refused == 404 else f"cannot be read ({refused})"
        manifest = (
            f"kubectl apply -f - <<< '{{apiVersion: {version}, kind: LocalQueue, "
            f"metadata: {{name: {queue}, namespace: {space}}}, "
            "spec: {clusterQueue: CLUSTER_QUEUE}}'"
        )
        yield Check(name, False, said, manifest, needed=refused == 404)
        return
    conditions = answer.get("status", {}).get("conditions", [])
    stopped = [c for c in conditions if c.get("type") == "Active" and c.get("status") != "True"]
    if stopped:
        said = f"is not active: {stopped[0].get('message', '')}"
        yield Check(name, False, said, f"kubectl -n {space} describe localqueue {queue}")
    else:
        yield Check(name, True, "is active")


def _images(api: _Api, asked: Asked) -> Iterator[Check]:
    on_nodes = {
        name
        for node in api.get("/api/v1/nodes").get("items", [])
        for image in node.get("status", {}).get("images", [])
        for name in image.get("names", [])
    }
    failing = _failing_images(api, asked.namespace)
    for image in _pipeline_images(compiled_pipeline()):
        pull = (
            f"kubectl -n {asked.namespace} run daftt-pull --rm -i --restart=Never "
            f"--image={image} --command -- true"
        )
        if any(known == image or known.endswith(f"/{image}") for known in on_nodes):
            yield Check(f"image {image}", True, "is on a node")
        elif image in failing:
            yield Check(f"image {image}", False, f"could not be pulled: {failing[image]}", pull)
        else:
            said = "is on no node yet; whether it can be pulled shows only when it is"
            yield Check(f"image {image}", False, said, pull, needed=False)


def _failing_images(api: _Api, namespace: str) -> dict[str, str]:
    """Images that pods wait for in vain, and what is said about each."""
    pods = api.get(f"/api/v1/namespaces/{namespace}/pods").get("items", [])
    return {
        status["image"]: f"{waiting['reason']} {waiting.get('message', '')}".strip()
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses") or []
        if (waiting := status.get("state", {}).get("waiting") or {}).get("reason") in _NOT_PULLED
    }


def _pipeline_images(path: Path) -> list[str]:
    spec = next(yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    executors = spec["deploymentSpec"]["executors"].values()
    return sorted({each["container"]["image"] for each in executors})
