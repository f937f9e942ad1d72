"""Jobs in a real cluster, reached through KUBECONFIG: what becomes of them, and what is said.

It needs an image with Python named by DAFTT_TEST_IMAGE, the right to create namespaces, which it
removes, and the Training Operator, Kubeflow Trainer, or both: what is not installed is skipped, and
so is a step's workflow without Argo. docs/operations.md has the commands for a cluster made with
kind.

    KUBECONFIG=FILE DAFTT_TEST_IMAGE=python:3.11-slim pytest -m cluster tests/cluster
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from job_requests import job_request

from daftt_core.errors import JobError
from daftt_core.jobs import KINDS, JobRequest, watching
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.kinds import JobKind
from daftt_core.jobs.kubernetes import RefusedError, connect
from daftt_core.jobs.launcher import ClusterLauncher
from daftt_core.jobs.pods import JOB_LABEL
from daftt_core.jobs.reap import find_jobs, remove_job
from daftt_core.jobs.requests import StepPod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (os.environ.get("KUBECONFIG") and os.environ.get("DAFTT_TEST_IMAGE")),
        reason="needs a cluster: export KUBECONFIG=FILE DAFTT_TEST_IMAGE=python:3.11-slim",
    ),
]

_RUNTIME = Path(__file__).parents[2] / "k8s" / "components" / "training-runtime" / "runtime.yaml"
_ARGO = "/apis/argoproj.io/v1alpha1"
_TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"

# What the real program does when it is told to end, and an end by SIGKILL on demand: a container's
# first process cannot be killed from inside.
_PROGRAM = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
signal.signal(signal.SIGUSR1, lambda *_: os._exit(137))
"""


@dataclass(frozen=True)
class PlainRequest(JobRequest):
    """A request whose program needs nothing but Python, however many pods there are."""

    def command(self) -> list[str]:
        return ["python", *self.program]


class Api:
    """The cluster, as a test and the product see it."""

    def __init__(self, namespace: str, runtime: str) -> None:
        from kubernetes import client

        self.namespace, self.runtime = namespace, runtime
        self.core = client.CoreV1Api()
        self.raw = connect()
        self.cluster = Cluster(self.raw, namespace)

    def pods(self, request: JobRequest) -> list[dict[str, Any]]:
        """The job's pods."""
        return self.cluster.pods(f"{JOB_LABEL}={request.name}")

    def execute(self, pod: str, program: str) -> None:
        """Run a line of Python in a pod."""
        from kubernetes.stream import stream

        command = ["python", "-c", program]
        connection = stream(
            self.core.connect_get_namespaced_pod_exec,
            pod,
            self.namespace,
            command=command,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        connection.run_forever(timeout=30)
        connection.sock.shutdown()

    def evict(self, pod: str) -> None:
        """Evict a pod as a drain of its node does."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        self.core.create_namespaced_pod_eviction(pod, self.namespace, body)

    def delete(self, pod: str) -> None:
        """Delete a pod."""
        self.core.delete_namespaced_pod(pod, self.namespace)

    @contextmanager
    def quota(self, **hard: str) -> Iterator[None]:
        """A quota for as long as the block lasts, once the cluster counts by it."""
        name = f"quota-{uuid.uuid4().hex[:8]}"
        limits = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
        body = {"metadata": {"name": name}, "spec": {"hard": limits}}
        self.core.create_namespaced_resource_quota(self.namespace, body)
        try:
            wait_for(
                lambda: self.core.read_namespaced_resource_quota(name, self.namespace).status.hard
            )
            yield
        finally:
            self.core.delete_namespaced_resource_quota(name, self.namespace)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    from kubernetes import client, config

    config.load_kube_config(os.environ["KUBECONFIG"])  # the client looks once, when imported
    core = client.CoreV1Api()
    name = f"daftt-test-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    made = Api(name, name)
    try:
        wait_for(lambda: core.list_namespaced_service_account(name).items)
        with _runtime(made):
            yield made
    finally:
        core.delete_namespace(name)


@contextmanager
def _runtime(api: Api) -> Iterator[None]:
    """The runtime of TrainJobs that DAFTT ships, under a name of this test's own."""
    manifest = yaml.safe_load(_RUNTIME.read_text(encoding="utf-8"))
    manifest["metadata"]["name"] = api.runtime
    path = f"{_TRAINER}/clustertrainingruntimes"
    try:
        api.raw.request("POST", path, body=manifest)
    except RefusedError as error:
        if error.status != 404:
            raise
        yield  # Kubeflow Trainer is not installed
        return
    try:
        yield
    finally:
        api.raw.request("DELETE", f"{path}/{api.runtime}")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, api: Api) -> JobKind:
    """Each kind of job that the cluster has."""
    wanted = KINDS[request.param]
    try:
        api.cluster.jobs(wanted, "daftt/none=x")
    except RefusedError as error:
        if error.status != 404:
            raise
        pytest.skip(f"the cluster has no {wanted.name}")
    return wanted


@pytest.fixture(autouse=True)
def _hear_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="daftt")


def asked_for(api: Api, kind: JobKind, program: str, image: str = "", **config: Any) -> JobRequest:
    """A small request of its own: the name holds a fresh run."""
    made = job_request(
        run=uuid.uuid4().hex[:8],
        **{
            "launcher": next(name for name, each in KINDS.items() if each is kind),
            "runtime": api.runtime,
            "cpus": "50m",
            "memory": "128Mi",
            "shm_size": "16Mi",
            "start_timeout_seconds": 300,
            "grace_seconds": 60,
            **config,
        },
    )
    words = ("-c", _PROGRAM + program)
    image = image or os.environ["DAFTT_TEST_IMAGE"]
    return PlainRequest(made.run, made.stage, words, made.config, image)


def launch(api: Api, kind: JobKind, request: JobRequest) -> None:
    ClusterLauncher(api.cluster, kind, poll_seconds=1).launch(request)


def failure(api: Api, kind: JobKind, request: JobRequest) -> str:
    with pytest.raises(JobError) as caught:
        launch(api, kind, request)
    return str(caught.value)


class InBackground:
    """A launch in a thread."""

    def __init__(self, api: Api, kind: JobKind, request: JobRequest) -> None:
        self.error = ""
        self._launch = (api, kind, request)
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        try:
            launch(*self._launch)
        except JobError as error:
            self.error = str(error)

    def ending(self) -> str:
        """The error's words once it is over; empty if it has succeeded."""
        self._thread.join(300)
        assert not self._thread.is_alive()
        return self.error


def wait_for(condition: Callable[[], Any], seconds: int = 300) -> Any:
    """What a condition gives as soon as it holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.5)
    pytest.fail(f"it has not come about within {seconds} s")


def at_work(api: Api, kind: JobKind, request: JobRequest, *, first: bool = True) -> str:
    """The name of a pod of the job, its first or another one, once all are at work."""

    def look() -> str:
        pods = api.pods(request)
        if len(pods) < request.config.nodes:
            return ""
        if any(pod["status"].get("phase") != "Running" for pod in pods):
            return ""
        labels = kind.first_pod.items()
        chosen = [pod for pod in pods if (labels <= pod["metadata"]["labels"].items()) is first]
        return str(chosen[0]["metadata"]["name"])

    return str(wait_for(look))


def is_gone(api: Api, kind: JobKind, request: JobRequest) -> bool:
    job = api.cluster.get(kind, request.name)
    return job is None or "deletionTimestamp" in job["metadata"]


# how a job ends by itself


def test_success_shows_the_whole_log(
    api: Api, kind: JobKind, caplog: pytest.LogCaptureFixture
) -> None:
    program = "for i in range(20): print('step', i); time.sleep(0.3)"
    launch(api, kind, asked_for(api, kind, program))
    shown = [r.getMessage() for r in caplog.records if r.getMessage().startswith("| step")]
    assert shown == [f"| step {i}" for i in range(20)]


@pytest.mark.parametrize("nodes", [1, 2])
def test_failure_tells_the_exit_code_and_the_log(api: Api, kind: JobKind, nodes: int) -> None:
    """With two pods the master fails, and the worker is cleaned up after it."""
    program = """
first = os.environ.get("PET_NODE_RANK", os.environ.get("RANK", "0")) == "0"
time.sleep(5 if first else 300)
print('about to fail')
raise SystemExit(7)
"""
    said = failure(api, kind, asked_for(api, kind, program, nodes=nodes))
    assert "exit code 7" in said
    assert "about to fail" in said
    assert "started again" not in said


# how it does not start


def test_a_bad_image_is_said(api: Api, kind: JobKind) -> None:
    request = asked_for(api, kind, "", "daftt.invalid/none:1", start_timeout_seconds=30)
    said = failure(api, kind, request)
    assert "does not start: ErrImagePull" in said or "does not start: ImagePullBackOff" in said
    assert is_gone(api, kind, request)


def test_a_pod_that_fits_no_node_is_said(api: Api, kind: JobKind) -> None:
    request = asked_for(
        api, kind, "", node_selector='{"daftt/none": "x"}', start_timeout_seconds=15
    )
    assert "does not start: Unschedulable" in failure(api, kind, request)
    assert is_gone(api, kind, request)


def test_a_quota_of_jobs_is_told_from_missing_rights(api: Api, kind: JobKind) -> None:
    with api.quota(**{f"count/{kind.plural}.{kind.group}": "0"}):
        said = failure(api, kind, asked_for(api, kind, ""))
    assert "its quota is used up" in said
    assert "give it a Role" not in said


def test_a_quota_of_pods_is_said(api: Api, kind: JobKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LOOK_AT_EVENTS_SECONDS", 5.0)
    request = asked_for(api, kind, "", start_timeout_seconds=15)
    with api.quota(pods="0"):
        assert "exceeded quota" in failure(api, kind, request)
    assert is_gone(api, kind, request)


def test_a_queue_that_nobody_manages_is_said(
    api: Api, kind: JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Kueue or without: it makes a Workload even for a queue that is not there."""
    monkeypatch.setattr(watching, "_LOOK_AT_QUEUE_SECONDS", 5.0)
    request = asked_for(api, kind, "", queue="none", start_timeout_seconds=10)
    said = failure(api, kind, request)
    assert "Kueue has made no Workload for it" in said or "LocalQueue none doesn't exist" in said
    assert is_gone(api, kind, request)


# what the cluster does to its pods

INTERRUPTIONS: dict[str, Callable[[Api, str], None]] = {
    "killed": lambda api, pod: api.execute(pod, "import os; os.kill(1, 10)"),
    "told to end": lambda api, pod: api.execute(pod, "import os; os.kill(1, 15)"),
    "deleted": Api.delete,
    "evicted": Api.evict,
}


@pytest.mark.parametrize("first", [True, False], ids=["first pod", "second pod"])
@pytest.mark.parametrize("interrupt", INTERRUPTIONS.values(), ids=INTERRUPTIONS)
def test_a_job_that_is_interrupted_is_started_again_as_a_whole(
    api: Api,
    kind: JobKind,
    interrupt: Callable[[Api, str], None],
    first: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = asked_for(api, kind, "time.sleep(15)", nodes=2, max_restarts=1)
    launched = InBackground(api, kind, request)
    interrupt(api, at_work(api, kind, request, first=first))
    assert launched.ending() == ""
    assert "starting all pods again (1)" in caplog.text
    job = api.cluster.get(kind, request.name)
    assert job is not None
    assert job["metadata"]["annotations"]["daftt/restarts"] == "1"


def test_a_job_that_is_deleted_fails(api: Api, kind: JobKind) -> None:
    request = asked_for(api, kind, "time.sleep(300)")
    launched = InBackground(api, kind, request)
    at_work(api, kind, request)
    (found,) = find_jobs(api.cluster, [kind], request.run)
    remove_job(api.cluster, found)
    assert "was deleted while it was at work" in launched.ending()


# the step that waits for it


class Run:
    """A workflow that is at work, as far as others see it, with a pod as a step."""

    def __init__(self, api: Api) -> None:
        self.name, self._api = f"run-{uuid.uuid4().hex[:8]}", api
        self._path = f"{_ARGO}/namespaces/{api.namespace}/workflows"
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": self.name},
            "spec": {"entrypoint": "wait", "templates": [{"name": "wait", "suspend": {}}]},
            "status": {"phase": "Running"},  # Argo's controller may serve its own namespace only
        }
        try:
            self.uid = api.raw.request("POST", self._path, body=body)["metadata"]["uid"]
        except RefusedError as error:
            if error.status != 404:
                raise
            pytest.skip("the cluster has no Argo Workflows")

    def step(self, name: str) -> StepPod:
        """A pod of this run, as Argo makes it: its controller is the workflow."""
        workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": self.name}
        owner = {**workflow, "uid": self.uid, "controller": True, "blockOwnerDeletion": True}
        command = ["python", "-c", f"{_PROGRAM}\ntime.sleep(600)"]
        container = {"name": "main", "image": os.environ["DAFTT_TEST_IMAGE"], "command": command}
        pod = {
            "metadata": {"name": f"{self.name}-{name}", "ownerReferences": [owner]},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        }
        made = self._api.core.create_namespaced_pod(self._api.namespace, pod)
        return StepPod(made.metadata.name, made.metadata.uid)

    def terminate(self) -> None:
        """End it, as Kubeflow Pipelines and then Argo's controller do."""
        change = {"spec": {"activeDeadlineSeconds": 0}, "status": {"phase": "Failed"}}
        self._api.raw.request("PATCH", f"{self._path}/{self.name}", body=change)

    def delete(self) -> None:
        """Delete it, as Kubeflow Pipelines does some time after its end."""
        self._api.raw.request("DELETE", f"{self._path}/{self.name}")


@pytest.fixture
def own_namespace(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process ran in the namespace of the test."""
    monkeypatch.setattr(api.raw, "namespace", api.namespace)


def told_to_end(api: Api, kind: JobKind, request: JobRequest, before: Callable[[], object]) -> str:
    """The error's words, if the step is told to end while its job is at work."""

    def end() -> None:
        at_work(api, kind, request)
        before()
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    said = failure(api, kind, request)
    thread.join()
    return said


@pytest.mark.usefixtures("own_namespace")
def test_a_job_outlives_the_pod_of_its_step_and_is_adopted(
    api: Api, kind: JobKind, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(api)
    first = run.step("one")
    request = replace(asked_for(api, kind, "time.sleep(40)"), step=first)
    said = told_to_end(api, kind, request, before=lambda: api.delete(first.name))
    assert "goes on, and is adopted when the step is begun again" in said
    wait_for(lambda: api.cluster.pod(first.name) is None)
    time.sleep(3)  # for the garbage collector, if it had anything to do here
    before = api.cluster.get(kind, request.name)
    assert before is not None
    launch(api, kind, replace(request, step=run.step("two")))
    assert "already there; adopted" in caplog.text
    after = api.cluster.get(kind, request.name)
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    run.delete()
    wait_for(lambda: api.cluster.get(kind, request.name) is None)


@pytest.mark.usefixtures("own_namespace")
def test_a_step_of_a_terminated_run_takes_its_job_along(api: Api, kind: JobKind) -> None:
    run = Run(api)
    request = replace(asked_for(api, kind, "time.sleep(300)"), step=run.step("one"))
    said = told_to_end(api, kind, request, before=run.terminate)
    assert said.startswith(f"the step was told to end, so {kind.name}")
    assert is_gone(api, kind, request)


@pytest.mark.usefixtures("own_namespace")
def test_the_job_of_a_terminated_run_is_reaped(
    api: Api, kind: JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its step had no time to delete it. Until then it is waited for, which is shown."""
    monkeypatch.setattr(watching, "_HEARTBEAT_SECONDS", 1.0)
    run = Run(api)
    request = replace(asked_for(api, kind, "time.sleep(300)"), step=run.step("one"))
    launched = InBackground(api, kind, request)
    at_work(api, kind, request)
    made = api.cluster.get(kind, request.name)
    assert made is not None

    def shown_again() -> bool:
        job = api.cluster.get(kind, request.name)
        assert job is not None
        annotation = "daftt/waited-for"
        before, now = (each["metadata"]["annotations"][annotation] for each in (made, job))
        return bool(now > before)

    wait_for(shown_again)
    (found,) = find_jobs(api.cluster, [kind], request.run)
    assert found.orphaned == ""
    run.terminate()
    (found,) = find_jobs(api.cluster, [kind], request.run)
    assert found.orphaned == f"its run, {run.name}, has ended: Failed"
    remove_job(api.cluster, found)
    assert "was deleted while it was at work" in launched.ending()
    wait_for(lambda: api.cluster.get(kind, request.name) is None)
