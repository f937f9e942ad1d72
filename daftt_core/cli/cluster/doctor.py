"""``daftt doctor --cluster``: what a cluster lacks for a run, and what fixes it.

It reads the Kubernetes API, as the kubeconfig's user; rights are those of the account that the pods
of a run have. It changes nothing but one small object in the run's storage, which it writes, reads
and deletes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from daftt_core.cli.checks import Check
from daftt_core.cli.cluster.capacity import capacity_checks, image_checks
from daftt_core.cli.cluster.kube import KubeReader, refusal_status
from daftt_core.cli.cluster.remote import KFP_NAMESPACE
from daftt_core.config import DATA_FILES, Config
from daftt_core.errors import ConfigError, JobError, ModelError, StorageError
from daftt_core.jobs.kubernetes import RefusedError
from daftt_core.preflight import check_for_pods, check_models
from daftt_core.storage import open_storage

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
_APIS = {
    # launcher: group and version, resource, fixed by
    "pytorchjob": ("kubeflow.org/v1", "pytorchjobs", _OPERATOR),
    "trainjob": ("trainer.kubeflow.org/v1alpha1", "trainjobs", _TRAINER),
}
_KUEUE = "kueue.x-k8s.io"
_INSTALL_KUEUE = (
    "kubectl apply --server-side -f "
    "https://github.com/kubernetes-sigs/kueue/releases/download/VERSION/manifests.yaml"
)
_FRAMEWORKS = {
    "pytorchjob": "kubeflow.org/pytorchjob",
    "trainjob": "trainer.kubeflow.org/trainjob",
}
_RIGHTS = (
    # group, resource, subresource, verbs
    ("", "pods", "", ("get", "list")),
    ("", "pods", "log", ("get",)),
    ("", "events", "", ("list",)),
)
_JOB_VERBS = ("create", "get", "list", "patch", "delete")
_KFP = "ml-pipeline"
_OLDEST_KFP = (2, 17)
_ENFORCE = "pod-security.kubernetes.io/enforce"
_STORE_SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - its name


@dataclass(frozen=True)
class Target:
    """What the doctor is to look at.

    Attributes:
        config: Settings of the run: its storage, GPUs and secrets.
        namespace: Where the pods run.
        service_account: As whom they run; empty: the default of the installation, and the rights
            that are looked at are the kubeconfig's own.
        queue: Kueue's queue that jobs go to; empty: the one that the settings name.
    """

    config: Config
    namespace: str
    service_account: str = ""
    queue: str = ""

    @property
    def launcher(self) -> str:
        """What trains the teacher: ``local``, ``pytorchjob`` or ``trainjob``."""
        return self.config.job.launcher


def cluster_checks(target: Target) -> list[Check]:
    """Return what was found of everything that a run needs of the cluster."""
    account = target.service_account
    user = f"system:serviceaccount:{target.namespace}:{account}" if account else ""
    try:
        api = KubeReader(user)
        version = api.version()
    except JobError as error:
        sentence = str(error)
        if isinstance(error, RefusedError) and error.status == 401:
            sentence = "the API server does not know you (401): log in to the cluster again"
        fix = "kubectl config get-contexts; kubectl config use-context NAME"
        return [Check("Kubernetes", False, sentence, fix)]
    several_users, pipelines = _pipelines(api, target)
    return [
        Check("Kubernetes", True, version),
        pipelines,
        *_namespace(api, target, several_users),
        *_job_api(api, target),
        *_rights(api, target),
        *_secrets(api, target, several_users),
        *_places(target.config),
        *capacity_checks(api, target.config, target.namespace),
        *_queue(api, target),
        *image_checks(api, target.namespace),
    ]


def _pipelines(api: KubeReader, target: Target) -> tuple[bool, Check]:
    """Return whether Kubeflow Pipelines has several users, and how it is."""
    name = "Kubeflow Pipelines"
    path = f"/apis/apps/v1/namespaces/{KFP_NAMESPACE}/deployments/{_KFP}"
    answer = api.get(path)
    status = refusal_status(answer)
    if status == 403:
        finding = f"cannot be told: you may not read deployments in {KFP_NAMESPACE}"
        fix = f"kubectl -n {KFP_NAMESPACE} get deployment {_KFP}"
        return False, Check(name, False, finding, fix, needed=False)
    if status:
        finding = f"there is no deployment {_KFP} in the namespace {KFP_NAMESPACE}"
        return False, Check(name, False, finding, "see docs/operations.md, Install")
    container = answer["spec"]["template"]["spec"]["containers"][0]
    variables = {each["name"]: each.get("value") for each in container.get("env") or []}
    several_users = variables.get("MULTIUSER") == "true"
    mode = "several users" if several_users else "one user"
    version = re.search(r":v?(\d+)\.(\d+)[^:@]*", container.get("image", ""))
    shown = f"{version[0].lstrip(':')}, {mode}" if version else f"version not known, {mode}"
    if not answer.get("status", {}).get("availableReplicas"):
        fix = f"kubectl -n {KFP_NAMESPACE} describe deployment {_KFP}"
        return several_users, Check(name, False, f"{shown}: no pod of {_KFP} is ready", fix)
    if version and (int(version[1]), int(version[2])) < _OLDEST_KFP:
        finding = f"{shown}: older than 2.17, with which DAFTT was tried"
        return several_users, Check(name, False, finding, "upgrade it", needed=False)
    if not several_users and target.namespace != KFP_NAMESPACE:
        finding = f"{shown}: its runs go to {KFP_NAMESPACE}, and {target.namespace} is not used"
        fix = f"daftt doctor --cluster --namespace {KFP_NAMESPACE}"
        return several_users, Check(name, False, finding, fix)
    return several_users, Check(name, True, shown)


def _namespace(api: KubeReader, target: Target, several_users: bool) -> Iterator[Check]:
    """Yield whether the namespace is there, lets pods run, and has the account they run as."""
    space = target.namespace
    answer = api.get(f"/api/v1/namespaces/{space}")
    status = refusal_status(answer)
    if status == 404:
        yield Check(f"namespace {space}", False, "is missing", f"kubectl create namespace {space}")
        return
    if status:
        finding = f"cannot be told: you may not read it ({status})"
        fix = f"kubectl get namespace {space}"
        yield Check(f"namespace {space}", False, finding, fix, needed=False)
    else:
        yield Check(f"namespace {space}", True, "is there")
        yield from _pod_security(api, target, (answer["metadata"].get("labels") or {}))
    account = target.service_account or ("default-editor" if several_users else "pipeline-runner")
    status = refusal_status(api.get(f"/api/v1/namespaces/{space}/serviceaccounts/{account}"))
    finding = {0: "is there", 404: "is missing"}.get(status, f"cannot be told ({status})")
    fix = f"kubectl -n {space} create serviceaccount {account}" if status else ""
    yield Check(f"account {account}", not status, finding, fix, needed=status == 404)


def _pod_security(api: KubeReader, target: Target, labels: dict[str, str]) -> Iterator[Check]:
    level = labels.get(_ENFORCE, "privileged")
    several_pods = target.launcher == "pytorchjob" and target.config.job.nodes > 1
    if level != "restricted" or not several_pods:
        yield Check("pod security", True, f"{level}: the pipeline's pods are allowed")
        return
    operator = api.get(f"/apis/apps/v1/namespaces/{KFP_NAMESPACE}/deployments/training-operator")
    spec = operator.get("spec", {}).get("template", {}).get("spec", {})
    mounted = {
        mount.get("mountPath")
        for container in spec.get("containers") or []
        for mount in container.get("volumeMounts") or []
    }
    if "/etc/config" in mounted:
        yield Check("pod security", True, f"{level}: the operator has its own init container")
        return
    finding = (
        f"{level}: it refuses the init container that the training operator adds to workers; "
        "a job of several nodes waits for ever"
    )
    fix = (
        "kubectl apply -f k8s/training-operator/init-container.yaml && "
        f"kubectl -n {KFP_NAMESPACE} patch deployment training-operator "
        "--patch-file k8s/training-operator/deployment-patch.yaml"
    )
    yield Check("pod security", False, finding, fix)


def _job_api(api: KubeReader, target: Target) -> Iterator[Check]:
    """Yield whether the kind of job that trains the teacher is served, and what it builds on."""
    if target.launcher == "local":
        return
    version, resource, fix = _APIS[target.launcher]
    resources = api.get(f"/apis/{version}").get("resources") or []
    served = any(each.get("name") == resource for each in resources)
    finding = f"served as {version}" if served else f"{version} is not served"
    yield Check(f"CRD {resource}", served, finding, "" if served else fix)
    if served and target.launcher == "trainjob":
        name = target.config.job.runtime
        yield _runtime(name, api.get(f"/apis/{version}/clustertrainingruntimes/{name}"))


def _runtime(name: str, answer: dict[str, Any]) -> Check:
    """Return whether the runtime of TrainJobs leaves restarts to DAFTT.

    The runtime that comes with Kubeflow Trainer restarts pods one by one, while their peers wait.
    """
    fix = "kubectl apply -f k8s/components/training-runtime/runtime.yaml"
    if status := refusal_status(answer):
        finding = {404: "is missing"}.get(status, f"cannot be read ({status})")
        return Check(f"runtime {name}", False, finding, fix, needed=status == 404)
    spec = answer.get("spec", {}).get("template", {}).get("spec", {})
    wrong = [] if spec.get("failurePolicy", {}).get("maxRestarts") == 0 else ["maxRestarts"]
    for job in spec.get("replicatedJobs") or []:
        template = job.get("template", {}).get("spec", {})
        if template.get("backoffLimit") != 0:
            wrong.append("backoffLimit")
        if template.get("template", {}).get("spec", {}).get("restartPolicy") != "Never":
            wrong.append("restartPolicy")
    if not wrong:
        return Check(f"runtime {name}", True, "leaves restarts to DAFTT")
    finding = f"restarts pods one by one ({', '.join(wrong)}), while their peers wait for ever"
    return Check(f"runtime {name}", False, finding, fix)


def _places(config: Config) -> Iterator[Check]:
    """Yield whether pods can see what the settings name, and whether it is there."""
    try:
        check_for_pods(config)
    except ConfigError as error:
        fix = "daftt doctor --cluster --output gs://BUCKET/daftt --settings FILE"
        for line in str(error).splitlines():
            name, _, finding = line.partition(": ")
            yield Check(name, False, finding, fix)
        return
    try:
        open_storage(config.run.output).check_writable()
    except StorageError as error:
        yield Check("storage", False, str(error), _listing(config.run.output))
    else:
        yield Check("storage", True, f"{config.run.output}: written, read and deleted from here")
    try:
        check_models(config)
    except ModelError as error:
        yield Check("models", False, str(error), "daftt models copy MODEL gs://BUCKET/models/NAME")
    else:
        yield Check("models", True, f"{config.teacher.model}, {config.student.model}")
    for name in DATA_FILES:
        place = getattr(config.data, name)
        if "://" in place:
            yield _data(f"data_{name}", place)


def _data(setting: str, place: str) -> Check:
    fixed = re.split(r"[*?\[]", place, maxsplit=1)[0]
    parent, _, start = fixed.rpartition("/")
    try:
        count = len(open_storage(parent).entries(start))
    except StorageError as error:
        return Check(setting, False, str(error), _listing(place))
    if not count:
        return Check(setting, False, f"{place}: nothing is there", _listing(fixed))
    return Check(setting, True, f"{place}: is there")


def _listing(place: str) -> str:
    """Return the command that shows what is at a place in a storage."""
    program = "aws s3" if place.startswith("s3://") else "gcloud storage"
    return f"{program} ls '{place}'"


def _rights(api: KubeReader, target: Target) -> Iterator[Check]:
    """Yield what the account of the steps may do with jobs, pods and events."""
    space, account = target.namespace, target.service_account or "pipeline-runner"
    if target.launcher == "local":  # no step touches the cluster
        return
    version, plural, _ = _APIS[target.launcher]
    jobs = (version.partition("/")[0], plural, "", _JOB_VERBS)
    for group, resource, sub, verbs in (jobs, *_RIGHTS):
        name = f"{resource}/{sub}" if sub else resource
        attributes = {"group": group, "resource": resource} | ({"subresource": sub} if sub else {})
        allowed = {verb: api.may(space, {**attributes, "verb": verb}) for verb in verbs}
        if None in allowed.values():
            note = f"cannot be told: you may not act as {account}"
            fix = (
                f"kubectl auth can-i --list -n {space} --as system:serviceaccount:{space}:{account}"
            )
            yield Check(f"right to {name}", False, note, fix, needed=False)
            continue
        lacking = [verb for verb, may in allowed.items() if not may]
        role = f"daftt-{name.replace('/', '-')}"
        full = f"{resource}.{group}" if group else name
        fix = (
            f"kubectl -n {space} create role {role} --verb={','.join(verbs)} --resource={full} && "
            f"kubectl -n {space} create rolebinding {role} --role={role} "
            f"--serviceaccount={space}:{account}"
        )
        finding = f"no {', '.join(lacking)}" if lacking else ", ".join(verbs)
        yield Check(f"right to {name}", not lacking, finding, fix if lacking else "")


def _secrets(api: KubeReader, target: Target, several_users: bool) -> Iterator[Check]:
    pods, job = target.config.cluster, target.config.job
    if several_users:
        yield _secret(api, target.namespace, _STORE_SECRET, "accesskey")
    yield _secret(api, target.namespace, pods.hub_secret, "token", "private models")
    if pods.storage_secret:
        for key in ("accesskey", "secretkey"):
            yield _secret(api, target.namespace, pods.storage_secret, key)
    if pods.pull_secret:
        made_by = f"docker-registry {pods.pull_secret} --from-file=DOCKER_CONFIG_FILE"
        yield _secret(api, target.namespace, pods.pull_secret, ".dockerconfigjson", "", made_by)
    for name, key in job.secret_keys().values():
        yield _secret(api, job.namespace or target.namespace, name, key)


def _secret(
    api: KubeReader, space: str, name: str, key: str, only_for: str = "", made_by: str = ""
) -> Check:
    """Return whether a secret has a key.

    Args:
        api: The cluster.
        space: Namespace of the secret.
        name: Name of the secret.
        key: The key.
        only_for: What it is for, where a run may do without.
        made_by: The end of the command that makes it.
    """
    answer = api.get(f"/api/v1/namespaces/{space}/secrets/{name}")
    status = refusal_status(answer)
    if not status and key in answer.get("data", {}):
        return Check(f"secret {name}", True, f"has {key}")
    finding = {404: "is missing", 403: "cannot be told: you may not read secrets"}.get(
        status, f"cannot be read ({status})" if status else f"has no key {key!r}"
    )
    made_by = made_by or f"generic {name} --from-file={key}={key.upper()}_FILE"
    needed = not only_for and status != 403
    return Check(
        f"secret {name}",
        False,
        f"{finding}; needed for {only_for} only" if only_for else finding,
        f"kubectl -n {space} create secret {made_by}",
        needed=needed,
    )


def _queue(api: KubeReader, target: Target) -> Iterator[Check]:
    queue = target.queue or target.config.job.queue
    if not queue:
        return
    name, space = f"queue {queue}", target.config.job.namespace or target.namespace
    version = api.served_version(_KUEUE)
    if not version:
        yield Check(name, False, "Kueue is not installed", _INSTALL_KUEUE)
        return
    answer = api.get(f"/apis/{version}/namespaces/{space}/localqueues/{queue}")
    if status := refusal_status(answer):
        finding = "is missing" if status == 404 else f"cannot be read ({status})"
        manifest = (
            f"kubectl apply -f - <<< '{{apiVersion: {version}, kind: LocalQueue, "
            f"metadata: {{name: {queue}, namespace: {space}}}, "
            "spec: {clusterQueue: CLUSTER_QUEUE}}'"
        )
        yield Check(name, False, finding, manifest, needed=status == 404)
        return
    conditions = answer.get("status", {}).get("conditions", [])
    stopped = [c for c in conditions if c.get("type") == "Active" and c.get("status") != "True"]
    if stopped:
        finding = f"is not active: {stopped[0].get('message', '')}"
        yield Check(name, False, finding, f"kubectl -n {space} describe localqueue {queue}")
    else:
        yield Check(name, True, "is active")
    yield from _managed(api, target, name)


def _managed(api: KubeReader, target: Target, name: str) -> Iterator[Check]:
    """Yield whether Kueue starts the kind of job that trains the teacher.

    Since 0.19 its default configuration leaves out PyTorchJobs: they stay suspended for ever.
    """
    framework = _FRAMEWORKS.get(target.launcher)
    config = api.get("/api/v1/namespaces/kueue-system/configmaps/kueue-manager-config")
    text = (config.get("data") or {}).get("controller_manager_config.yaml")
    if framework is None or text is None:
        return
    try:
        settings = yaml.safe_load(text)
        managed = settings["integrations"]["frameworks"] or []
    except (yaml.YAMLError, KeyError, TypeError):
        return
    if framework in managed:
        yield Check(f"{name} starts", True, f"Kueue manages {framework}")
        return
    fix = "kubectl -n kueue-system edit configmap kueue-manager-config"
    finding = f"Kueue does not manage {framework}: such a job stays suspended for ever"
    yield Check(f"{name} starts", False, f"{finding}; add it to integrations.frameworks", fix)
