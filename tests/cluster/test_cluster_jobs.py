"""Jobs in a real cluster, reached through KUBECONFIG.

It needs the Kubeflow Training Operator, an image with Python named by DAFTT_TEST_IMAGE, and the
right to create a namespace, which it removes. DAFTT_TEST_LAUNCHER chooses pytorchjob (default) or
trainjob, which needs Kubeflow Trainer and the runtime in k8s/components/training-runtime.
docs/operations.md has the commands for a cluster made with kind.

    KUBECONFIG=FILE DAFTT_TEST_IMAGE=python:3.11-slim pytest -m cluster tests/cluster
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from job_requests import job_request

from daftt_core.errors import JobError
from daftt_core.jobs import KINDS, JobRequest
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.kubernetes import connect
from daftt_core.jobs.launcher import ClusterLauncher
from daftt_core.jobs.pods import JOB_LABEL
from daftt_core.jobs.reap import find_jobs, remove_job

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (os.environ.get("KUBECONFIG") and os.environ.get("DAFTT_TEST_IMAGE")),
        reason="needs a cluster: export KUBECONFIG=FILE DAFTT_TEST_IMAGE=python:3.11-slim",
    ),
]

LAUNCHER = os.environ.get("DAFTT_TEST_LAUNCHER", "pytorchjob")
KIND = KINDS[LAUNCHER]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    from kubernetes import client, config

    config.load_kube_config(os.environ["KUBECONFIG"])  # the client looks once, when imported
    core = client.CoreV1Api()
    name = f"daftt-test-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    try:
        _wait_for_service_account(core, name)
        yield Cluster(connect(), name)
    finally:
        core.delete_namespace(name)


def _wait_for_service_account(core: Any, namespace: str) -> None:
    for _ in range(60):
        names = [a.metadata.name for a in core.list_namespaced_service_account(namespace).items]
        if "default" in names:
            return
        time.sleep(1)
    pytest.fail("the namespace got no default service account within a minute")


@pytest.fixture(autouse=True)
def _hear_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="daftt")


def request(program: str, image: str = "", **config: object) -> JobRequest:
    """A small request of its own: the name holds a fresh run."""
    made = job_request(
        run=uuid.uuid4().hex[:8],
        **{
            "launcher": LAUNCHER,
            "cpu": "200m",
            "memory": "128Mi",
            "shm_size": "16Mi",
            "start_timeout_seconds": 300,
            "grace_seconds": 60,  # Python as a pod's first process does not hear SIGTERM
            **config,
        },
    )
    return replace(made, program=("-c", program), image=image or os.environ["DAFTT_TEST_IMAGE"])


def launch(cluster: Cluster, wanted: JobRequest) -> None:
    ClusterLauncher(cluster, KIND, poll_seconds=1).launch(wanted)


def in_background(cluster: Cluster, wanted: JobRequest) -> tuple[threading.Thread, list[str]]:
    """Launch in a thread; its list holds the error's words once it has failed."""
    said: list[str] = []

    def work() -> None:
        try:
            launch(cluster, wanted)
        except JobError as error:
            said.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    return thread, said


def wait_for_pod(cluster: Cluster, wanted: JobRequest) -> str:
    """The name of the job's first pod, once it is at work."""
    for _ in range(300):
        for pod in cluster.pods(f"{JOB_LABEL}={wanted.name}"):
            if pod["status"].get("phase") == "Running":
                return str(pod["metadata"]["name"])
        time.sleep(1)
    pytest.fail("no pod is at work after 5 minutes")


def test_succeeding(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    launch(cluster, request("import time\nfor i in range(20): print('step', i); time.sleep(0.5)"))
    shown = [r.getMessage() for r in caplog.records if r.getMessage().startswith("| step")]
    assert shown == [f"| step {i}" for i in range(20)]


def test_failing(cluster: Cluster) -> None:
    wanted = request("print('about to fail'); raise SystemExit(7)")
    with pytest.raises(JobError) as caught:
        launch(cluster, wanted)
    assert "exit code 7" in str(caught.value)
    assert "about to fail" in str(caught.value)


def test_a_bad_image(cluster: Cluster) -> None:
    wanted = request("pass", "daftt.invalid/none:1", start_timeout_seconds=40)
    with pytest.raises(JobError, match=r"does not start: (ErrImagePull|ImagePullBackOff)"):
        launch(cluster, wanted)


def test_an_unschedulable_pod(cluster: Cluster) -> None:
    wanted = request("pass", node_selector='{"daftt/none": "x"}', start_timeout_seconds=20)
    with pytest.raises(JobError, match="does not start: Unschedulable"):
        launch(cluster, wanted)


def test_a_deleted_job(cluster: Cluster) -> None:
    wanted = request("import time; time.sleep(300)")
    thread, said = in_background(cluster, wanted)
    wait_for_pod(cluster, wanted)
    job = cluster.get(KIND, wanted.name)
    assert job is not None
    cluster.delete(KIND, wanted.name, job["metadata"]["uid"])
    thread.join(120)
    assert "was deleted while it was at work" in said[0]


def test_a_killed_pod(cluster: Cluster) -> None:
    from kubernetes import client

    wanted = request("import time; time.sleep(30)", max_restarts=2)
    thread, said = in_background(cluster, wanted)
    pod = wait_for_pod(cluster, wanted)
    client.CoreV1Api().delete_namespaced_pod(pod, cluster.namespace, grace_period_seconds=0)
    thread.join(300)
    assert said == []
    assert not thread.is_alive()


def test_a_relaunch_adopts(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    wanted = request("import time; time.sleep(20)")
    thread, said = in_background(cluster, wanted)
    wait_for_pod(cluster, wanted)
    launch(cluster, wanted)
    thread.join(120)
    assert said == []
    assert "already there; adopted" in caplog.text


def test_reaping(cluster: Cluster) -> None:
    wanted = request("import time; time.sleep(300)")
    cluster.create(KIND, KIND.build(wanted))
    (found,) = find_jobs(cluster, [KIND], wanted.run)
    remove_job(cluster, found)
    for _ in range(120):
        if cluster.get(KIND, wanted.name) is None:
            return
        time.sleep(1)
    pytest.fail("the job is still there after two minutes")
