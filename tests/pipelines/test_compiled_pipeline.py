"""The compiled pipeline shows the configuration as it is, and says where everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from daftt_core.cli.authoring.compile import compile_pipeline
from daftt_core.config import (
    FORM_SETTINGS,
    FROM_PRESET,
    ClusterConfig,
    flat_fields,
    form_choices,
    form_descriptions,
    from_flat,
)

COMPILED = Path(__file__).parents[2] / "pipelines" / "compiled" / "daftt.yaml"
MODEL_TASKS = {
    *("assess-teacher", "evaluate", "synthesize", "train-students", "train-students-2"),
    "train-teacher",
}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return next(yaml.safe_load_all(COMPILED.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def pods() -> dict[str, Any]:
    """What Kubernetes is told about each task's pod."""
    _, platform = yaml.safe_load_all(COMPILED.read_text(encoding="utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor for name, executor in executors.items()}


def tasks(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Every task of the pipeline and of what it is nested of."""
    graphs = [spec["root"], *spec["components"].values()]
    return [task for graph in graphs for task in graph.get("dag", {}).get("tasks", {}).values()]


def test_the_form_has_the_fields_that_people_change_and_none_is_set(spec: dict[str, Any]) -> None:
    shown = spec["root"]["inputDefinitions"]["parameters"]
    assert list(shown) == sorted({*FORM_SETTINGS, "preset", "settings"})
    for name, field in shown.items():
        assert field["parameterType"] == ("STRUCT" if name == "settings" else "STRING"), name
        unset = FROM_PRESET if name in form_choices() else ""
        assert field["defaultValue"] == ({} if name == "settings" else unset), name
        assert field["description"] == form_descriptions()[name], name


def test_no_stage_is_handed_settings_but_their_digest(spec: dict[str, Any]) -> None:
    forms = {"comp-prepare", "comp-summarize"}
    for name, component in spec["components"].items():
        if "executorLabel" in component and name not in forms:
            inputs = set(component["inputDefinitions"]["parameters"])
            assert inputs.isdisjoint(flat_fields()), name


def test_every_container_has_a_pinned_image_and_runs_our_code_only(spec: dict[str, Any]) -> None:
    containers = [
        executor["container"] for executor in spec["deploymentSpec"]["executors"].values()
    ]
    assert len(containers) == len(MODEL_TASKS) + 3
    for container in containers:
        _, _, tag = container["image"].partition(":")
        assert tag not in {"", "latest"}
        assert "pip install" not in " ".join(container["command"])


def test_shards_and_arms_are_loops(spec: dict[str, Any]) -> None:
    loops = {
        task["parameterIterator"]["items"]["inputParameter"]
        for component in spec["components"].values()
        for task in component.get("dag", {}).get("tasks", {}).values()
        if "parameterIterator" in task
    }
    assert loops == {
        "pipelinechannel--assess-teacher-Output",
        "pipelinechannel--curate-Output",
    }


def test_weights_never_travel_as_artifacts(spec: dict[str, Any]) -> None:
    kinds = {
        artifact["artifactType"]["schemaTitle"]
        for component in spec["components"].values()
        for artifact in component.get("outputDefinitions", {}).get("artifacts", {}).values()
    }
    assert kinds == {
        *("system.Metrics", "system.ClassificationMetrics", "system.HTML", "system.Markdown"),
        *("system.Dataset", "system.Model"),  # which hold a description and a place
    }


def test_no_task_is_taken_from_the_cache(spec: dict[str, Any]) -> None:
    assert not any(task.get("cachingOptions", {}).get("enableCache") for task in tasks(spec))


def test_no_task_waits_for_a_retry_that_kubeflow_does_not_make(spec: dict[str, Any]) -> None:
    assert not [task["taskInfo"]["name"] for task in tasks(spec) if "retryPolicy" in task]


def test_a_namespace_that_is_restricted_takes_every_pod(pods: dict[str, Any]) -> None:
    # "restricted" of the Pod Security Standards: runAsNonRoot must be true
    for name, pod in pods.items():
        context = pod["securityContext"]
        assert context == {"runAsUser": "1000", "runAsGroup": "1000", "runAsNonRoot": True}, name


def test_every_pod_has_a_deadline_and_only_models_get_gpus(
    spec: dict[str, Any], pods: dict[str, Any]
) -> None:
    assert set(pods) > MODEL_TASKS
    for name, pod in pods.items():
        assert int(pod["activeDeadlineSeconds"]) > 0, name
        resources = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["resources"]
        assert ("accelerator" in resources) == (name in MODEL_TASKS), name
        assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"], name


def test_models_get_shared_memory_nodes_and_the_secret_by_name(pods: dict[str, Any]) -> None:
    for name in MODEL_TASKS:
        pod = pods[name]
        (shm,) = pod["emptyDirMounts"]
        assert (shm["mountPath"], shm["medium"]) == ("/dev/shm", "Memory")
        (secret,) = pod["secretAsEnv"]
        assert secret["optional"]
        assert secret["secretName"] == ClusterConfig().hub_secret
        assert "nodeSelector" not in pod
        assert "tolerations" not in pod
        assert "podMetadata" not in pod
    assert not [name for name, pod in pods.items() if "imagePullSecret" in pod]  # none is set


def test_nodes_and_secrets_are_compiled_in(tmp_path: Path) -> None:
    cluster = {
        "cluster_node_selector": {"pool": "gpu"},
        "cluster_tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "cluster_queue": "team-queue",
        "cluster_hub_secret": "team-hub",
        "cluster_light_memory": "3Gi",
        "cluster_pull_secret": "team-registry",
        "cluster_storage_secret": "team-s3",
        "cluster_environment": {"STORAGE_EMULATOR_HOST": "http://fake-gcs:4443"},
    }
    path = tmp_path / "daftt.yaml"
    compile_pipeline(path, from_flat(cluster))
    spec, platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name in MODEL_TASKS:
        pod = executors[f"exec-{name}"]
        assert pod["nodeSelector"]["labels"] == {"pool": "gpu"}
        assert pod["podMetadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "team-queue"}
        assert "nvidia.com/gpu" in str(pod["tolerations"])
        assert pod["secretAsEnv"][0]["secretName"] == "team-hub"
    for name, pod in executors.items():
        assert pod["imagePullSecret"][0]["secretName"] == "team-registry"
        keys = next(each for each in pod["secretAsEnv"] if each["secretName"] == "team-s3")
        assert not keys.get("optional")
        assert {each["secretKey"]: each["envVar"] for each in keys["keyToEnv"]} == {
            "accesskey": "AWS_ACCESS_KEY_ID",
            "secretkey": "AWS_SECRET_ACCESS_KEY",
        }
        container = spec["deploymentSpec"]["executors"][name]["container"]
        assert {"name": "STORAGE_EMULATOR_HOST", "value": "http://fake-gcs:4443"} in container[
            "env"
        ]
    light = spec["deploymentSpec"]["executors"]["exec-curate"]["container"]["resources"]
    assert light["resourceMemoryLimit"] == "3Gi"
    checked = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]["prepare"]
    compiled_in = checked["inputs"]["parameters"]["compiled_in"]["runtimeValue"]["constant"]
    assert "team-hub" in compiled_in


def test_bodies_of_loops_are_handed_the_resources_they_ask_for(spec: dict[str, Any]) -> None:
    loops = [c for name, c in spec["components"].items() if name.startswith("comp-for-loop")]
    assert len(loops) == 2
    for loop in loops:
        handed = set(loop["inputDefinitions"]["parameters"])
        for name in ("gpus", "gpu_resource", "cpus", "memory"):
            assert f"pipelinechannel--prepare-{name}" in handed


def test_a_summary_is_left_whatever_happens(spec: dict[str, Any]) -> None:
    root = spec["root"]["dag"]["tasks"]
    assert root["summarize"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert root["summarize"]["dependentTasks"] == ["exit-handler-1"]
    assert set(root) == {"summarize", "exit-handler-1"}


def test_without_a_reason_to_train_there_is_nothing_but_the_first_step(
    spec: dict[str, Any],
) -> None:
    run = steps(spec, "comp-exit-handler-1")
    assert set(run) == {"prepare", "condition-2"}
    condition = run["condition-2"]["triggerPolicy"]["condition"]
    assert condition == "inputs.parameter_values['pipelinechannel--prepare-Output'] == 'yes'"
    trains = set(steps(spec, "comp-condition-2"))
    assert {"train-teacher", "train-students", "curate", "evaluate"} < trains


def test_every_task_and_loop_has_a_title(spec: dict[str, Any]) -> None:
    for graph in (spec["root"], *spec["components"].values()):
        for name, task in graph.get("dag", {}).get("tasks", {}).items():
            title = task["taskInfo"]["name"]
            assert title[0].isupper(), name


def test_fields_with_a_choice_are_drawn_as_one(spec: dict[str, Any]) -> None:
    fields = spec["root"]["inputDefinitions"]["parameters"]
    choices = {name: field["literals"] for name, field in fields.items() if "literals" in field}
    assert choices == {
        "on_gate_fail": ["from preset", "stop", "continue"],
        "synthesis_mode": ["from preset", "annotate", "generate", "both"],
    }


def steps(spec: dict[str, Any], component: str) -> dict[str, Any]:
    return spec["components"][component]["dag"]["tasks"]
