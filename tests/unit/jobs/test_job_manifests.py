"""The objects a request becomes: held against the real CRDs and the webhooks' rules."""

from __future__ import annotations

import copy
import re
from typing import Any

import jsonschema
import pytest
import yaml
from crds import schema, validate
from hypothesis import given
from hypothesis import strategies as st
from job_requests import job_request

from daftt_core.config import JobConfig, from_flat
from daftt_core.errors import ConfigError
from daftt_core.jobs import KINDS, teacher_request
from daftt_core.jobs.pytorchjob import pytorchjob, pytorchjob_mistakes
from daftt_core.jobs.requests import StepPod
from daftt_core.jobs.trainjob import trainjob, trainjob_mistakes
from daftt_core.preflight import resolve
from daftt_core.records import digest

SETTINGS: dict[str, dict[str, Any]] = {
    "least": {},
    "one GPU": {"gpus": 1},
    "many": {
        "nodes": 4,
        "gpus": 8,
        "cpus": "96",
        "memory": "900Gi",
        "shm_size": "64Gi",
        "node_selector": '{"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}',
        "tolerations": '[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]',
        "queue": "gpus",
        "service_account": "daftt-train",
        "secrets": "HF_TOKEN=huggingface/token, WANDB_KEY=wandb/key",
        "env": '{"NCCL_DEBUG": "INFO"}',
    },
    "priority": {"priority_class": "low"},
}


@pytest.fixture(scope="module")
def pytorchjob_schema() -> dict[str, Any]:
    return schema("kubeflow.org_pytorchjobs.yaml")


@pytest.fixture(scope="module")
def trainjob_schema() -> dict[str, Any]:
    return schema("trainer.kubeflow.org_trainjobs.yaml")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_pytorchjob_is_valid(settings: dict[str, Any], pytorchjob_schema: dict[str, Any]) -> None:
    manifest = pytorchjob(job_request(**settings))
    validate(manifest, pytorchjob_schema)
    assert pytorchjob_mistakes(manifest) == []


@pytest.mark.parametrize("name", ["least", "one GPU", "many"])
def test_a_trainjob_is_valid(name: str, trainjob_schema: dict[str, Any]) -> None:
    manifest = trainjob(job_request(launcher="trainjob", **SETTINGS[name]))
    validate(manifest, trainjob_schema)
    assert trainjob_mistakes(manifest) == []


def test_the_schema_finds_mistakes(pytorchjob_schema: dict[str, Any]) -> None:
    for break_it in (
        lambda spec: spec.update(nprocPerNode=8),
        lambda spec: spec["runPolicy"].update(ttlSeconds=1),
        lambda spec: spec["pytorchReplicaSpecs"]["Master"]["template"]["spec"].update(node="x"),
    ):
        manifest = pytorchjob(job_request())
        break_it(manifest["spec"])
        with pytest.raises(jsonschema.ValidationError):
            validate(manifest, pytorchjob_schema)


def test_what_the_webhook_refuses_is_found() -> None:
    manifest = pytorchjob(job_request(nodes=2))
    manifest["metadata"]["name"] = "1-Job"
    manifest["spec"]["nprocPerNode"] = "some"
    replicas = manifest["spec"]["pytorchReplicaSpecs"]
    replicas["Master"]["replicas"] = 2
    replicas["Worker"]["restartPolicy"] = "Sometimes"
    replicas["Worker"]["template"]["spec"]["containers"][0]["name"] = "main"
    replicas["Master"]["template"]["spec"]["containers"][0]["image"] = ""
    replicas["Chief"] = copy.deepcopy(replicas["Worker"])
    said = "\n".join(pytorchjob_mistakes(manifest))
    for part in (
        "'1-Job' must be a DNS-1035 label",
        "nprocPerNode: 'some'",
        "Master.replicas: 2 must be 1",
        "Worker.restartPolicy: must be one of",
        "no container is named pytorch",
        "container 'pytorch' has no image",
        "Chief: must be Master or Worker",
    ):
        assert part in said
    del replicas["Master"]
    assert "Master is missing" in "\n".join(pytorchjob_mistakes(manifest))


def test_one_node_has_no_workers_and_no_torchrun() -> None:
    spec = pytorchjob(job_request())["spec"]
    assert list(spec["pytorchReplicaSpecs"]) == ["Master"]
    container = spec["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["python", "-c", "print('hello, \"world\"')"]


def test_pods_have_time_to_save_when_they_are_told_to_end() -> None:
    pod = pytorchjob(job_request())["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    patch = trainjob(job_request())["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]
    node = patch["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == node["terminationGracePeriodSeconds"] == 600


def test_several_processes_run_under_torchrun_in_the_cluster_and_here() -> None:
    request = job_request(gpus=2)
    torchrun = ["-m", "daftt_core.distributed.torchrun"]
    assert request.command()[1:5] == ["-m", "daftt_core.jobs.entry", *torchrun]
    meeting = ["--standalone", "--local-addr=127.0.0.1"]
    assert request.local_command()[1:6] == [*torchrun, *meeting, "--nproc-per-node=2"]
    assert request.command()[-2:] == request.local_command()[-2:] == list(request.program)


@pytest.mark.parametrize("kind", KINDS)
def test_gpus_and_shared_memory_reach_the_pod(kind: str) -> None:
    text = yaml.safe_dump(KINDS[kind].build(job_request(**SETTINGS["many"])))
    for part in ("nvidia.com/gpu: '8'", "sizeLimit: 64Gi", "medium: Memory", "/dev/shm"):
        assert part in text
    assert "key: token" in text
    assert "name: huggingface" in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_pod_that_is_told_to_end_has_time_for_a_checkpoint(kind: str) -> None:
    manifest = KINDS[kind].build(job_request(grace_seconds=900))
    text = yaml.safe_dump(manifest)
    assert "terminationGracePeriodSeconds: 900" in text
    # torchrun's own patience with its processes must end first, but not after its 30 s
    assert {"name": "TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "value": "870"} in env_of(manifest)


def env_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The environment of the first pod's container."""
    spec = manifest["spec"]
    if "trainer" in spec:
        return spec["trainer"]["env"]
    return spec["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["env"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pod_writes_nowhere_but_into_its_own_volumes(kind: str) -> None:
    text = yaml.safe_dump(KINDS[kind].build(job_request()))
    assert "readOnlyRootFilesystem: true" in text
    assert "mountPath: /tmp" in text
    assert {"name": "HOME", "value": "/tmp"} in env_of(KINDS[kind].build(job_request()))


@given(run=st.text(min_size=1, max_size=80), nodes=st.integers(1, 50))
def test_names_are_valid_whatever_the_run_is_called(run: str, nodes: int) -> None:
    request = job_request(run=run, nodes=nodes)
    manifest = pytorchjob(request)
    assert pytorchjob_mistakes(manifest) == []
    assert len(request.name) <= 46
    for value in manifest["metadata"]["labels"].values():
        assert re.fullmatch(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", value)
        assert len(value) <= 63


def test_the_name_follows_from_what_is_run_and_from_nothing_else() -> None:
    name = job_request().name
    assert name == job_request(step=StepPod("a", "b"), max_restarts=9, start_timeout_seconds=5).name
    others = {
        job_request(run="x").name,
        job_request(cpus="5").name,
        job_request(nodes=2).name,
    }
    assert len(others | {name}) == 4


def test_the_teachers_program_carries_the_settings_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KFP_POD_NAME", "step-1")
    monkeypatch.setenv("KFP_POD_UID", "u-1")
    run = resolve(from_flat({"output": 'gs://bucket/a "quoted" place; rm', "name": "it"}))
    request = teacher_request(run, "settings", JobConfig(), "abc", "image:1")
    words = dict(zip(request.program[2::2], request.program[3::2], strict=True))
    assert words == {
        "--run": 'gs://bucket/a "quoted" place; rm/it',
        "--settings": "settings",
        "--data": "abc",
        "--mixture": "",
    }
    assert request.step == StepPod("step-1", "u-1")
    assert request.image == "image:1"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"job_tolerations": "gpu"}, "job_tolerations: 'gpu' is not JSON"),
        ({"job_tolerations": "{}"}, "job_tolerations: must be a list"),
        ({"job_node_selector": "[1]"}, "job_node_selector: must hold names with values"),
        ({"job_secrets": "token"}, "'token' must be VARIABLE=secret/key"),
        ({"job_env": "[]"}, "env must be a JSON object"),
        ({"job_nodes": 2}, "launcher local has one machine"),
        ({"job_launcher": "trainjob", "job_priority_class": "p"}, "priority class from its"),
        ({"job_memory": "much"}, "job_memory: 'much'"),
        ({"job_launcher": "slurm"}, "'local', 'pytorchjob' or 'trainjob'"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_submitted(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        from_flat(settings)


def test_where_the_teacher_is_trained_is_no_part_of_the_runs_name() -> None:
    assert resolve(from_flat({})).uri == resolve(from_flat({"job_launcher": "pytorchjob"})).uri


def test_the_digest_label_is_the_requests() -> None:
    request = job_request()
    labels = pytorchjob(request)["metadata"]["labels"]
    assert labels["daftt/digest"] == request.digest
    assert len(request.digest) == len(digest("x"))
