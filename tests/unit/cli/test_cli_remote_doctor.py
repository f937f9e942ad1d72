"""The doctor looks at a cluster: what is missing, and what mends it."""

from __future__ import annotations

import json

import pytest
import yaml
from kube_review_api import KubeServer, kube_server

from daftt_core.cli.app import main

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SECRETS = "/api/v1/namespaces/kubeflow/secrets"
QUEUE = "/apis/kueue.x-k8s.io/v1beta2/namespaces/kubeflow/localqueues/gpus"


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """A cluster that lacks nothing."""
    with kube_server() as server:
        path = tmp_path / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "me"}}],
                    "clusters": [{"name": "test", "cluster": {"server": server.url}}],
                    "users": [{"name": "me", "user": {"token": "a-secret-token"}}],
                }
            )
        )
        monkeypatch.setenv("KUBECONFIG", str(path))
        images = [f"registry.example/daftt/{name}:0.1.0" for name in ("core", "train", "serve")]
        server.objects = {
            "/version": {"gitVersion": "v1.31.0"},
            "/apis/kubeflow.org/v1": {"resources": [{"name": "pytorchjobs"}]},
            "/apis/trainer.kubeflow.org/v1alpha1": {"resources": [{"name": "trainjobs"}]},
            "/apis/kueue.x-k8s.io": {
                "preferredVersion": {"groupVersion": "kueue.x-k8s.io/v1beta2"}
            },
            f"{SECRETS}/daftt-hub": {"data": {"token": "eA=="}},
            QUEUE: {"status": {"conditions": [{"type": "Active", "status": "True"}]}},
            "/api/v1/nodes": {
                "items": [
                    {
                        "metadata": {"labels": {"pool": "gpu"}},
                        "status": {
                            "allocatable": {"nvidia.com/gpu": "4"},
                            "images": [{"names": images}],
                        },
                    }
                ]
            },
            "/api/v1/namespaces/kubeflow/pods": {"items": []},
        }
        yield server


@pytest.fixture
def output(tmp_path) -> str:
    return (tmp_path / "runs").as_uri()


def look(capsys, *words: str) -> tuple[int, dict[str, dict]]:
    code = main(["doctor", "--cluster", "--json", *words])
    return code, {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}


def test_a_cluster_that_lacks_nothing(cluster: KubeServer, output: str, capsys) -> None:
    words = ("--output", output, "--queue", "gpus", "--service-account", "trainer")
    code, checks = look(capsys, *words)
    assert code == 0
    assert [name for name, check in checks.items() if not check["ok"]] == []
    assert checks["Kubernetes"]["found"] == "v1.31.0"
    assert checks["GPUs (nvidia.com/gpu)"]["found"].startswith("4 allocatable on 1 nodes")
    assert set(cluster.users) == {"system:serviceaccount:kubeflow:trainer"}


def test_an_empty_cluster_names_all_that_it_lacks(cluster, output, capsys) -> None:
    cluster.objects = {"/version": {"gitVersion": "v1.31.0"}}
    cluster.denied = {("list", "events"), ("get", "pods/log")}
    code, checks = look(capsys, "--output", output, "--queue", "gpus")
    assert code == 1
    missing = {name for name, check in checks.items() if check["needed"] and not check["ok"]}
    assert missing == {"CRD pytorchjobs", "right to events", "right to pods/log", "queue gpus"}
    assert all(check["mend"] for check in checks.values() if not check["ok"])
    events = checks["right to events"]
    assert events["found"] == "no list"
    assert "create role daftt-events --verb=list --resource=events" in events["mend"]
    assert "training-operator" in checks["CRD pytorchjobs"]["mend"]
    assert checks["queue gpus"]["found"] == "Kueue is not installed"
    assert "create secret generic daftt-hub" in checks["secret daftt-hub"]["mend"]


def test_what_may_not_be_read_is_said_and_is_no_failure(cluster, output, capsys) -> None:
    cluster.forbidden = {"/api/v1/nodes", f"{SECRETS}/daftt-hub", REVIEWS}
    code, checks = look(capsys, "--output", output)
    assert code == 0
    for name in ("GPUs (nvidia.com/gpu)", "secret daftt-hub", "right to events"):
        assert not checks[name]["ok"]
        assert "cannot be told" in checks[name]["found"]


def test_gpus_are_counted_on_the_nodes_that_are_asked_for(
    cluster, output, tmp_path, capsys
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("cluster_gpus: 8\n")
    _, checks = look(capsys, "--output", output, "--settings", str(path))
    assert not checks["GPUs (nvidia.com/gpu)"]["ok"]
    path.write_text("cluster_gpus: 1\ncluster_node_selector: {pool: cpu}\n")
    code, checks = look(capsys, "--output", output, "--settings", str(path))
    assert code == 1
    assert checks["GPUs (nvidia.com/gpu)"]["found"] == "no node has the labels {'pool': 'cpu'}"


def test_an_image_that_cannot_be_pulled_is_told_from_one_not_tried(cluster, output, capsys) -> None:
    cluster.objects["/api/v1/nodes"]["items"][0]["status"]["images"] = []
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    status = {"image": "daftt/core:0.1.0", "state": {"waiting": waiting}}
    pods = {"items": [{"status": {"containerStatuses": [status]}}]}
    cluster.objects["/api/v1/namespaces/kubeflow/pods"] = pods
    code, checks = look(capsys, "--output", output)
    assert code == 1
    core, train = checks["image daftt/core:0.1.0"], checks["image daftt/train:0.1.0"]
    assert core["found"] == "could not be pulled: ImagePullBackOff not found"
    assert (core["needed"], train["needed"]) == (True, False)


def test_a_queue_is_looked_for_in_the_version_that_is_served(cluster, output, capsys) -> None:
    older = "kueue.x-k8s.io/v1beta1"
    cluster.objects["/apis/kueue.x-k8s.io"]["preferredVersion"]["groupVersion"] = older
    _, checks = look(capsys, "--output", output, "--queue", "gpus")
    assert checks["queue gpus"]["found"] == "is missing"
    assert f"apiVersion: {older}, kind: LocalQueue" in checks["queue gpus"]["mend"]
    cluster.objects[QUEUE.replace("v1beta2", "v1beta1")] = cluster.objects[QUEUE]
    _, checks = look(capsys, "--output", output, "--queue", "gpus")
    assert checks["queue gpus"]["ok"]


def test_what_the_settings_name_is_looked_for(cluster, output, tmp_path, capsys) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("job_launcher: trainjob\njob_queue: gpus\njob_secrets: WANDB_KEY=wandb/key\n")
    del cluster.objects["/apis/trainer.kubeflow.org/v1alpha1"]
    cluster.denied = {("create", "trainjobs")}
    code, checks = look(capsys, "--output", output, "--settings", str(path))
    assert code == 1
    missing = {name for name, check in checks.items() if check["needed"] and not check["ok"]}
    assert missing == {"CRD trainjobs", "right to trainjobs", "secret wandb"}
    assert checks["queue gpus"]["ok"]
    made = "kubectl -n kubeflow create secret generic wandb --from-file=key=KEY_FILE"
    assert checks["secret wandb"]["mend"] == made


def test_a_queue_that_is_stopped(cluster, output, capsys) -> None:
    condition = {"type": "Active", "status": "False", "message": "ClusterQueue is inactive"}
    cluster.objects[QUEUE]["status"]["conditions"] = [condition]
    _, checks = look(capsys, "--output", output, "--queue", "gpus")
    assert checks["queue gpus"]["found"] == "is not active: ClusterQueue is inactive"


def test_storage_of_one_pod_or_of_none(cluster, capsys) -> None:
    _, checks = look(capsys)
    assert "would be a folder of a single pod" in checks["storage"]["found"]
    _, checks = look(capsys, "--output", "file:///proc/nowhere")
    assert not checks["storage"]["ok"]


def test_a_secret_with_another_key(cluster, output, capsys) -> None:
    cluster.objects[f"{SECRETS}/daftt-hub"]["data"] = {"tokn": ""}
    _, checks = look(capsys, "--output", output)
    assert checks["secret daftt-hub"]["found"].startswith("has no key 'token'")


def test_no_cluster_is_one_line(cluster, output, capsys) -> None:
    cluster.status = 401
    code, checks = look(capsys, "--output", output)
    assert code == 1
    assert list(checks) == ["Kubernetes"]
    assert "log in to the cluster again" in checks["Kubernetes"]["found"]
    assert main(["doctor", "--cluster"]) == 1
    assert "a-secret-token" not in capsys.readouterr().out
