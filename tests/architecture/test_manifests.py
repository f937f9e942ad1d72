"""The Kubernetes manifests: every overlay builds, every object is valid, and promises are kept."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from programs import missing_program

from components.images import locked_images
from daftt_core.config import JobConfig
from daftt_core.jobs import KINDS
from daftt_core.jobs.pods import JOB_LABEL

_K8S = Path(__file__).parents[2] / "k8s"
_OVERLAYS = ("kind", "gke")
"""Those that bring a namespace of DAFTT's own."""
_GUESTS = {"single-user": "kubeflow", "profile": "team-a"}
"""Those that go into a namespace of Kubeflow's, and that namespace."""
_VERSIONS = ("1.31", "1.37")
"""Kubernetes' own schemas: the oldest version that is still in wide use, and the newest."""
_KUBECTL = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
_CLUSTER_WIDE = {"Namespace", "PriorityClass", "ResourceFlavor", "ClusterQueue"}


def _build(folder: Path) -> list[dict[str, Any]]:
    if _KUBECTL is None:
        missing_program("kubectl is missing; install it: apt-get install kubernetes-client")
    done = subprocess.run([_KUBECTL, "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=_OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return _build(_K8S / "overlays" / request.param)


@cache
def _custom_schemas() -> dict[tuple[str, str], dict[str, Any]]:
    schemas = {}
    for path in (_K8S / "crds").glob("*.yaml"):
        crd = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
        for version in crd["versions"]:
            kind = (f"{crd['group']}/{version['name']}", crd["names"]["kind"])
            schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            schemas[kind] = _closed(schema)
    return schemas


def _closed(schema: Any) -> Any:
    """The schema with unknown fields refused, as `kubectl apply --validate=strict` refuses them."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _check(thing: dict[str, Any]) -> None:
    custom = _custom_schemas().get((thing["apiVersion"], thing["kind"]))
    if custom is not None:
        jsonschema.Draft202012Validator(custom).validate(thing)
        return
    for version in _VERSIONS:
        kubernetes_validate.validate(thing, version, strict=True)


def _of(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] == kind}


def test_every_object_is_valid(objects: list[dict[str, Any]]) -> None:
    assert len(objects) > 15
    for thing in objects:
        _check(thing)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ClusterQueue", ["spec", "resourceGroup"], []),
        ("ClusterQueue", ["spec", "queueingStrategy"], "Fastest"),
        ("LocalQueue", ["spec", "clusterQueue"], 3),
        ("NetworkPolicy", ["spec", "egres"], []),
        ("Role", ["rules"], [{"verbs": "get"}]),
        ("ResourceQuota", ["spec", "hard"], ["pods"]),
    ],
)
def test_a_mistake_in_an_object_is_found(
    objects: list[dict[str, Any]], kind: str, path: list[str], value: object
) -> None:
    thing = copy.deepcopy(next(iter(_of(objects, kind).values())))
    place = thing
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        _check(thing)


def test_objects_lie_in_the_namespace_unless_they_are_the_whole_clusters(
    objects: list[dict[str, Any]],
) -> None:
    for thing in objects:
        expected = None if thing["kind"] in _CLUSTER_WIDE else "daftt"
        assert thing["metadata"].get("namespace") == expected, thing["metadata"]["name"]
        assert thing["metadata"]["labels"]["app.kubernetes.io/part-of"] == "daftt"


def test_the_namespace_enforces_the_restricted_standard(objects: list[dict[str, Any]]) -> None:
    labels = _of(objects, "Namespace")["daftt"]["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_every_overlay_is_looked_at() -> None:
    assert {path.name for path in (_K8S / "overlays").iterdir()} == {*_OVERLAYS, *_GUESTS}


@pytest.mark.parametrize(
    ("overlay", "account"), [("single-user", "pipeline-runner"), ("profile", "default-editor")]
)
def test_a_namespace_of_kubeflow_gets_rights_and_one_policy_and_nothing_else(
    overlay: str, account: str
) -> None:
    objects, namespace = _build(_K8S / "overlays" / overlay), _GUESTS[overlay]
    for thing in objects:
        _check(thing)
        assert thing["metadata"]["namespace"] == namespace
    kinds = {thing["kind"] for thing in objects}
    assert kinds == {"ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"}
    subjects = _of(objects, "RoleBinding")["daftt-launcher"]["subjects"]
    assert {(subject["name"], subject["namespace"]) for subject in subjects} == {
        ("daftt-pipeline", namespace),
        (account, namespace),
    }
    (policy,) = _of(objects, "NetworkPolicy").values()
    selected = policy["spec"]["podSelector"]["matchExpressions"]
    assert selected == [{"key": JOB_LABEL, "operator": "Exists"}]  # no pod of Kubeflow's own


def test_no_role_is_wider_than_documented(objects: list[dict[str, Any]]) -> None:
    table = (_K8S.parent / "docs" / "operations.md").read_text(encoding="utf-8")
    assert not _of(objects, "ClusterRole")
    assert not _of(objects, "ClusterRoleBinding")
    for role in _of(objects, "Role").values():
        for rule in role["rules"]:
            for resource in rule["resources"]:
                row = next(
                    (
                        line
                        for line in table.splitlines()
                        if line.startswith(f"| `{role['metadata']['name']}` | `{resource}`")
                    ),
                    "",
                )
                for verb in rule["verbs"]:
                    assert f"`{verb}`" in row, f"{role['metadata']['name']}: {resource}: {verb}"
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if "secrets" in rule["resources"]:
                assert rule["resourceNames"]


def test_each_binding_binds_what_is_there(objects: list[dict[str, Any]]) -> None:
    roles, accounts = _of(objects, "Role"), _of(objects, "ServiceAccount")
    for binding in _of(objects, "RoleBinding").values():
        assert binding["roleRef"]["name"] in roles
        for subject in binding["subjects"]:
            assert subject["name"] in accounts
            assert subject["name"] != "daftt-trainer", "training pods have no rights at all"
    assert accounts["daftt-trainer"]["automountServiceAccountToken"] is False


def test_training_pods_reach_each_other_dns_and_storage_only(
    objects: list[dict[str, Any]],
) -> None:
    policies = _of(objects, "NetworkPolicy")
    assert policies["nothing-by-default"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for kind in ("pytorchjob", "trainjob"):
        spec = policies[f"{kind}-pods-talk-to-each-other"]["spec"]
        peers = [{"podSelector": spec["podSelector"]}]
        assert spec["ingress"] == [{"from": peers}]
        assert spec["egress"] == [{"to": peers}]
    for_all = {name for name, policy in policies.items() if not policy["spec"]["podSelector"]}
    assert for_all == {"nothing-by-default", "all-ask-dns", "all-talk-to-storage"}
    storage = policies["all-talk-to-storage"]["spec"]["egress"]
    assert storage
    assert policies["steps-talk-to-the-api-server"]["spec"]["egress"]
    for rule in storage:
        assert rule["ports"]
        for peer in rule["to"]:
            assert peer.get("ipBlock", {}).get("cidr") != "0.0.0.0/0"


def test_the_queue_offers_no_more_than_the_quota(objects: list[dict[str, Any]]) -> None:
    queue = _of(objects, "ClusterQueue")[
        _of(objects, "LocalQueue")["daftt"]["spec"]["clusterQueue"]
    ]
    flavors = set(_of(objects, "ResourceFlavor"))
    gpus = cpus = 0
    for group in queue["spec"]["resourceGroups"]:
        for flavor in group["flavors"]:
            assert flavor["name"] in flavors
            offered = {r["name"]: r["nominalQuota"] for r in flavor["resources"]}
            assert list(offered) == group["coveredResources"]
            cpus += int(offered["cpu"])
            gpus += int(offered.get("nvidia.com/gpu", "0"))
    hard = _of(objects, "ResourceQuota")["daftt"]["spec"]["hard"]
    assert gpus <= int(hard["requests.nvidia.com/gpu"])
    assert cpus <= int(hard["requests.cpu"])


def test_no_secret_is_applied_and_templates_hold_no_value(objects: list[dict[str, Any]]) -> None:
    assert not _of(objects, "Secret")
    templates = list((_K8S / "secret-templates").glob("*.yaml"))
    assert len(templates) == 6
    for path in templates:
        secret = yaml.safe_load(path.read_text(encoding="utf-8"))
        _check(secret)
        assert "data" not in secret
        assert set(secret["stringData"].values()) <= {"", '{"auths": {}}'}


def test_google_cloud_gives_each_account_an_identity_and_no_key() -> None:
    accounts = _of(_build(_K8S / "overlays" / "gke"), "ServiceAccount")
    for name, account in accounts.items():
        identity = account["metadata"]["annotations"]["iam.gke.io/gcp-service-account"]
        assert identity == f"{name}@PROJECT_ID.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("component", "name"),
    [("hub-access", "all-talk-to-public-addresses"), ("s3-access", "all-talk-to-s3")],
)
def test_access_to_public_addresses_can_be_added(tmp_path: Path, component: str, name: str) -> None:
    shutil.copytree(_K8S, tmp_path / "k8s")
    kustomization = tmp_path / "k8s" / "overlays" / "gke" / "kustomization.yaml"
    with kustomization.open("a", encoding="utf-8") as file:
        file.write(f"components: [../../components/{component}]\n")
    objects = _build(kustomization.parent)
    policy = _of(objects, "NetworkPolicy")[name]
    _check(policy)
    assert "10.0.0.0/8" in policy["spec"]["egress"][0]["to"][0]["ipBlock"]["except"]


@pytest.mark.parametrize("overlay", [*_OVERLAYS, *_GUESTS])
def test_a_reaper_of_jobs_can_be_added(tmp_path: Path, overlay: str) -> None:
    shutil.copytree(_K8S, tmp_path / "k8s")
    kustomization = tmp_path / "k8s" / "overlays" / overlay / "kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    line = "  - ../../components/reaper\n"
    has_some = "components:\n" in text
    kustomization.write_text(text + (line if has_some else f"components:\n{line}"))
    objects = _build(kustomization.parent)
    reaper = _of(objects, "CronJob")["daftt-reaper"]
    _check(reaper)
    pod = reaper["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] in _of(objects, "ServiceAccount")
    assert pod["containers"][0]["image"] == locked_images(Path("none"))["core"]
    allowed = {
        (group, resource, verb)
        for rule in _of(objects, "Role")["daftt-launcher"]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    jobs = [(kind.group, kind.plural) for kind in KINDS.values()]
    assert allowed >= {(*job, verb) for job in jobs for verb in ("list", "delete")}
    assert allowed >= {("argoproj.io", "workflows", "get"), ("", "pods", "get")}


def test_the_runtime_of_trainjobs_leaves_restarts_to_the_launcher() -> None:
    text = (_K8S / "components" / "training-runtime" / "runtime.yaml").read_text(encoding="utf-8")
    runtime = yaml.safe_load(text)
    assert runtime["metadata"]["name"] == JobConfig().runtime
    spec = runtime["spec"]["template"]["spec"]
    assert spec["failurePolicy"]["maxRestarts"] == 0
    (job,) = spec["replicatedJobs"]
    assert job["template"]["spec"]["backoffLimit"] == 0
    assert job["template"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_operator_s_init_container_is_allowed_where_pods_are_restricted() -> None:
    folder = _K8S / "training-operator"
    config = yaml.safe_load((folder / "init-container.yaml").read_text(encoding="utf-8"))
    _check(config)
    template = config["data"]["initContainer.yaml"]
    # what pkg/controller.v1/pytorch/initcontainer.go of the training operator 1.9.4 fills in
    values = {"InitContainerImage": "alpine:3.10", "MasterAddr": "job-master-0", "MaxTries": "100"}
    for name, value in values.items():
        template = template.replace(f"{{{{.{name}}}}}", value)
    assert "{{" not in template
    (container,) = yaml.safe_load(template)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "worker"},
        "spec": {"containers": [container], "initContainers": [container]},
    }
    _check(pod)
    program = container["command"][-1].replace("nslookup job-master-0", "false")
    with subprocess.Popen(["sh", "-c", program]) as waiting:
        time.sleep(0.5)  # until the trap is set
        waiting.terminate()
        assert waiting.wait(30) == 143
    security = container["securityContext"]
    assert security["runAsNonRoot"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    patch = yaml.safe_load((folder / "deployment-patch.yaml").read_text(encoding="utf-8"))
    (mounting,) = patch["spec"]["template"]["spec"]["containers"]
    assert mounting["volumeMounts"][0]["mountPath"] == "/etc/config"  # pkg/config/config.go
    (volume,) = patch["spec"]["template"]["spec"]["volumes"]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
