"""The doctor looks at a cluster: what is missing, and what mends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from kube_review_api import KubeServer, kube_server

from daftt_core.cli.app import main

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SECRETS = "/api/v1/namespaces/kubeflow/secrets"
ACCOUNTS = "/api/v1/namespaces/kubeflow/serviceaccounts"
KFP = "/apis/apps/v1/namespaces/kubeflow/deployments/ml-pipeline"
TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
KUEUE = "/api/v1/namespaces/kueue-system/configmaps/kueue-manager-config"
RUNTIME = Path(__file__).parents[2] / "k8s/components/training-runtime/runtime.yaml"
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
            "/version": {"gitVersion": "v1.34.0"},
            KFP: {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [
                                {
                                    "image": "ghcr.io/kubeflow/kfp-api-server:2.17.0",
                                    "env": [{"name": "MULTIUSER", "value": "false"}],
                                }
                            ]
                        }
                    }
                },
                "status": {"availableReplicas": 1},
            },
            "/api/v1/namespaces/kubeflow": {"metadata": {"name": "kubeflow"}},
            f"{ACCOUNTS}/pipeline-runner": {"metadata": {}},
            f"{ACCOUNTS}/trainer": {"metadata": {}},
            f"{TRAINER}/clustertrainingruntimes/daftt-torch": yaml.safe_load(RUNTIME.read_text()),
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
                            "allocatable": {
                                "cpu": "15890m",
                                "memory": "60Gi",
                                "nvidia.com/gpu": "4",
                            },
                            # a real node lists images without names, too
                            "images": [{"names": images}, {"names": None}, {"sizeBytes": 1}],
                        },
                    }
                ]
            },
            "/api/v1/namespaces/kubeflow/pods": {"items": []},
        }
        yield server


@pytest.fixture
def output(bucket: str) -> str:
    return f"{bucket}/daftt"


def look(capsys, *words: str) -> tuple[int, dict[str, dict]]:
    code = main(["doctor", "--cluster", "--json", *words])
    return code, {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}


def missing(checks: dict[str, dict]) -> set[str]:
    return {name for name, check in checks.items() if check["needed"] and not check["ok"]}


def settings(tmp_path: Path, **given: object) -> tuple[str, str]:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(given))
    return ("--settings", str(path))


def test_a_cluster_that_lacks_nothing(cluster: KubeServer, output: str, tmp_path, capsys) -> None:
    words = ("--output", output, "--queue", "gpus", "--service-account", "trainer")
    words += settings(tmp_path, job_launcher="pytorchjob", cluster_gpus=4)
    code, checks = look(capsys, *words)
    assert [name for name, check in checks.items() if not check["ok"]] == []
    assert code == 0
    assert checks["Kubernetes"]["found"] == "v1.34.0"
    assert checks["Kubeflow Pipelines"]["found"] == "2.17.0, one user"
    assert (
        checks["pods of model steps"]["found"] == "2 cpu, 8Gi memory, 4 nvidia.com/gpu: fits a node"
    )
    assert set(cluster.users) == {"system:serviceaccount:kubeflow:trainer"}


def test_an_empty_cluster_names_all_that_it_lacks(cluster, output, tmp_path, capsys) -> None:
    cluster.objects = {"/version": {"gitVersion": "v1.34.0"}, "/api/v1/nodes": {"items": []}}
    cluster.denied = {("list", "events"), ("get", "pods/log")}
    words = ("--output", output, "--queue", "gpus", "--namespace", "team-a")
    code, checks = look(capsys, *words, *settings(tmp_path, job_launcher="pytorchjob"))
    assert code == 1
    assert missing(checks) == {
        *("Kubeflow Pipelines", "namespace team-a", "CRD pytorchjobs", "queue gpus"),
        *("right to events", "right to pods/log"),
        *("pods of light steps", "pods of model steps", "pods of the teacher's job"),
    }
    assert all(check["fix"] for check in checks.values() if not check["ok"])
    events = checks["right to events"]
    assert events["found"] == "no list"
    assert "create role daftt-events --verb=list --resource=events" in events["fix"]
    assert "training-operator" in checks["CRD pytorchjobs"]["fix"]
    assert checks["queue gpus"]["found"] == "Kueue is not installed"
    assert "create secret generic daftt-hub" in checks["secret daftt-hub"]["fix"]


def test_a_teacher_in_its_own_step_needs_no_rights_to_jobs(cluster, output, capsys) -> None:
    cluster.denied = {("create", "pytorchjobs"), ("list", "events")}
    del cluster.objects["/apis/kubeflow.org/v1"]
    code, checks = look(capsys, "--output", output)
    assert code == 0
    assert not [name for name in checks if name.startswith(("right", "CRD"))]


def test_requests_that_no_node_or_quota_can_meet(cluster, output, tmp_path, capsys) -> None:
    words = ("--output", output, *settings(tmp_path, cluster_cpus="64", cluster_light_memory="4Gi"))
    cluster.objects["/api/v1/namespaces/kubeflow/resourcequotas"] = {
        "items": [{"metadata": {"name": "team"}, "status": {"hard": {"limits.memory": "3Gi"}}}]
    }
    code, checks = look(capsys, *words)
    assert code == 1
    assert checks["pods of model steps"]["found"] == (
        "asks for 64 cpu, and no node it may run on has more than 15.89"
    )
    assert checks["pods of light steps"]["found"] == (
        "asks for 4Gi memory, and the quota team allows 3Gi"
    )


def test_a_namespace_that_one_user_s_kubeflow_does_not_use(cluster, output, capsys) -> None:
    cluster.objects["/api/v1/namespaces/team-a"] = {"metadata": {}}
    _, checks = look(capsys, "--output", output, "--namespace", "team-a")
    assert checks["Kubeflow Pipelines"]["found"] == (
        "2.17.0, one user: its runs go to kubeflow, and team-a is not used"
    )
    container = cluster.objects[KFP]["spec"]["template"]["spec"]["containers"][0]
    container["env"][0]["value"] = "true"
    _, checks = look(capsys, "--output", output, "--namespace", "team-a")
    assert checks["Kubeflow Pipelines"]["ok"]
    assert {"account default-editor", "secret mlpipeline-minio-artifact"} <= missing(checks)


def test_a_kubeflow_that_is_down(cluster, output, capsys) -> None:
    cluster.objects[KFP]["status"] = {}
    _, checks = look(capsys, "--output", output)
    assert "no pod of ml-pipeline is ready" in checks["Kubeflow Pipelines"]["found"]


def test_workers_that_a_restricted_namespace_refuses(cluster, output, tmp_path, capsys) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.objects["/api/v1/namespaces/kubeflow"] = {"metadata": {"labels": labels}}
    words = ("--output", output, *settings(tmp_path, job_launcher="pytorchjob", job_nodes=2))
    _, checks = look(capsys, *words)
    assert "refuses the init container" in checks["pod security"]["found"]
    mounts = [{"volumeMounts": [{"mountPath": "/etc/config"}]}]
    operator = KFP.replace("ml-pipeline", "training-operator")
    cluster.objects[operator] = {"spec": {"template": {"spec": {"containers": mounts}}}}
    _, checks = look(capsys, *words)
    assert checks["pod security"]["ok"]


def test_a_runtime_that_restarts_pods_one_by_one(cluster, output, tmp_path, capsys) -> None:
    words = ("--output", output, *settings(tmp_path, job_launcher="trainjob"))
    _, checks = look(capsys, *words)
    assert checks["runtime daftt-torch"]["ok"]
    # manifests/base/runtimes/torch_distributed.yaml of Kubeflow Trainer 2.3 says none of the three
    runtime = cluster.objects[f"{TRAINER}/clustertrainingruntimes/daftt-torch"]
    bare = {"replicatedJobs": [{"name": "node", "template": {"spec": {}}}]}
    runtime["spec"]["template"]["spec"] = bare
    _, checks = look(capsys, *words)
    finding = checks["runtime daftt-torch"]["found"]
    assert "(maxRestarts, backoffLimit, restartPolicy)" in finding


def test_a_queue_that_does_not_start_the_kind_of_job(cluster, output, tmp_path, capsys) -> None:
    # Kueue 0.19.0 leaves kubeflow.org/pytorchjob out of its default configuration
    # (config/components/manager/controller_manager_config.yaml)
    configuration = yaml.safe_dump({"integrations": {"frameworks": ["batch/job"]}})
    cluster.objects[KUEUE] = {"data": {"controller_manager_config.yaml": configuration}}
    words = ("--output", output, *settings(tmp_path, job_launcher="pytorchjob", job_queue="gpus"))
    _, checks = look(capsys, *words)
    assert "stays suspended for ever" in checks["queue gpus starts"]["found"]


def test_models_and_data_that_are_not_there(cluster, output, tmp_path, capsys) -> None:
    words = ("--output", output)
    words += settings(tmp_path, teacher_model=f"{output}/none", data_train=f"{output}/none.csv")
    _, checks = look(capsys, *words)
    assert "there is no model in it" in checks["models"]["found"]
    assert "nothing is there" in checks["data_train"]["found"]
    _, checks = look(capsys, "--output", output, *settings(tmp_path, data_train="my.csv"))
    assert missing(checks) == {"data_train"}


def test_what_may_not_be_read_is_said_and_is_no_failure(cluster, output, tmp_path, capsys) -> None:
    cluster.forbidden = {"/api/v1/nodes", f"{SECRETS}/daftt-hub", REVIEWS}
    words = ("--output", output, *settings(tmp_path, job_launcher="pytorchjob"))
    code, checks = look(capsys, *words)
    assert code == 0
    for name in ("pods of model steps", "secret daftt-hub", "right to events"):
        assert not checks[name]["ok"]
        assert "cannot be told" in checks[name]["found"]


def test_gpus_are_counted_on_the_nodes_that_are_asked_for(
    cluster, output, tmp_path, capsys
) -> None:
    words = ("--output", output)
    _, checks = look(capsys, *words, *settings(tmp_path, cluster_gpus=8))
    assert "no node it may run on has more than 4" in checks["pods of model steps"]["found"]
    pool = settings(tmp_path, cluster_gpus=1, cluster_node_selector={"pool": "cpu"})
    code, checks = look(capsys, *words, *pool)
    assert code == 1
    assert checks["pods of model steps"]["found"] == "no node has the labels {'pool': 'cpu'}"


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
    assert f"apiVersion: {older}, kind: LocalQueue" in checks["queue gpus"]["fix"]
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
    assert missing(checks) == {"CRD trainjobs", "right to trainjobs", "secret wandb"}
    assert checks["queue gpus"]["ok"]
    made = "kubectl -n kubeflow create secret generic wandb --from-file=key=KEY_FILE"
    assert checks["secret wandb"]["fix"] == made


def test_a_queue_that_is_stopped(cluster, output, capsys) -> None:
    condition = {"type": "Active", "status": "False", "message": "ClusterQueue is inactive"}
    cluster.objects[QUEUE]["status"]["conditions"] = [condition]
    _, checks = look(capsys, "--output", output, "--queue", "gpus")
    assert checks["queue gpus"]["found"] == "is not active: ClusterQueue is inactive"


def test_storage_that_pods_do_not_see_or_that_is_not_there(cluster, capsys, bucket) -> None:
    _, checks = look(capsys)
    assert "is on this machine, which no pod sees" in checks["output"]["found"]
    _, checks = look(capsys, "--output", "gs://no-such-bucket/daftt")
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
