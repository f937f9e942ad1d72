"""The launcher, the official client, and an API server that speaks real HTTP."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from job_requests import job_request
from kube_api import EPOCH, Fault, KubeApi, Step, kube_api, owned, pod

from daftt_core.errors import JobError
from daftt_core.jobs import KINDS, watching
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.kubernetes import Patience, connect
from daftt_core.jobs.launcher import ClusterLauncher
from daftt_core.jobs.requests import JobRequest, StepPod

JOBS = "/pytorchjobs"
HASTY = Patience(
    total_seconds=10, first_delay_seconds=0.01, unauthorized_seconds=0.2, read_seconds=0.5
)
RUNNING = Step(("Created", "Running"), pods=(pod("m"),))
SUCCEEDED = Step(("Created", "Succeeded"), pods=(pod("m", "Succeeded"),))


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with kube_api(tmp_path, monkeypatch.setenv) as server:
        yield server


@pytest.fixture(autouse=True)
def _hear_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="daftt")


def launch(
    request: JobRequest | None = None,
    kind: str = "pytorchjob",
    poll_seconds: float = 0.01,
    patience: Patience = HASTY,
) -> None:
    cluster = Cluster(connect(patience))
    launcher = ClusterLauncher(cluster, KINDS[kind], poll_seconds, deletion_seconds=10)
    launcher.launch(request or job_request())


def failure(request: JobRequest | None = None, patience: Patience = HASTY) -> str:
    with pytest.raises(JobError) as caught:
        launch(request, patience=patience)
    return str(caught.value)


def shown(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    return [line[2:] for line in lines if line.startswith("| ")]


def ended(name: str, code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    finished = more.pop("finished", "2026-11-01T10:05:00Z")
    terminated = {"exitCode": code, "reason": reason, "finishedAt": finished}
    return pod(name, "Failed", containerStatuses=[{"state": {"terminated": terminated}}], **more)


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_succeeds_is_a_success_and_its_log_is_shown(
    api: KubeApi, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    done = "Complete" if kind == "trainjob" else "Succeeded"
    lines = tuple(f"step {i}" for i in range(10))
    api.scripts = [
        [
            Step(("Created",)),
            Step(("Created", "Running"), pods=(pod("m"),), log=lines[:4]),
            Step(log=lines[4:5]),
            Step(),
            Step(log=lines[5:]),
            Step((done,), pods=(pod("m", "Succeeded"),)),
        ]
    ]
    launch(kind=kind)
    assert shown(caplog) == list(lines)
    (job,) = api.jobs()
    assert job["metadata"]["name"] == job_request().name


def test_what_is_created_is_what_was_asked_for(api: KubeApi) -> None:
    api.scripts = [[SUCCEEDED]]
    request = job_request(queue="gpus", nodes=2)
    launch(request)
    (job,) = api.jobs()
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    master = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
    assert master["command"][-2:] == ["-c", "print('hello, \"world\"')"]


def test_a_program_that_fails_fails_at_once_and_everything_is_told(api: KubeApi) -> None:
    logs = tuple(f"line {i}" for i in range(30))
    name = job_request().name
    api.scripts = [
        [
            RUNNING,
            Step(log=logs),
            Step(("Failed",), "PyTorchJobFailed", "1 replica failed", pods=(ended("m", 7),)),
        ]
    ]
    api.warn(name, "BackOff", "back-off restarting failed container")
    said = failure(job_request(max_restarts=5))
    for part in (
        f"PyTorchJob {name} failed: PyTorchJobFailed: 1 replica failed",
        "pod m: Error, exit code 7",
        f"event about {name}: BackOff: back-off restarting failed container",
        "the log of pod m ends with:",
        "    line 29",
        "    line 10",
    ):
        assert part in said
    assert "line 9\n" not in said
    assert api.count("POST", JOBS) == 1


INTERRUPTIONS = {
    "evicted": pod("m", "Failed", reason="Evicted", message="The node was low on memory."),
    "oom": ended("m", 137, "OOMKilled"),
    "preempted": ended(
        "m",
        143,
        conditions=[
            {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
        ],
    ),
    "killed": ended("m", 137),
    "told to end": ended("m", 143),
    "node lost": pod("m", "Failed", reason="NodeLost"),
}


@pytest.mark.parametrize("end", INTERRUPTIONS.values(), ids=INTERRUPTIONS)
def test_what_the_cluster_ended_is_started_again_as_a_whole(
    api: KubeApi, end: dict[str, Any]
) -> None:
    api.scripts = [[RUNNING, Step(("Failed",), pods=(end,))], [RUNNING, SUCCEEDED]]
    launch(job_request(max_restarts=1))
    assert api.count("POST", JOBS) >= 2
    (job,) = api.jobs()
    assert job["metadata"]["annotations"]["daftt/restarts"] == "1"


def test_peers_of_an_evicted_pod_do_not_hide_the_eviction(api: KubeApi) -> None:
    pods = (
        ended("m", 1),
        pod("w", "Failed", role="worker", reason="Evicted"),
    )
    api.scripts = [[Step(("Failed",), pods=pods)], [SUCCEEDED]]
    launch(job_request(nodes=2))


def test_peers_killed_to_clean_up_do_not_hide_a_program_error(api: KubeApi) -> None:
    pods = (
        ended("m", 143, finished="2026-11-01T10:06:00Z"),
        ended("w", 1, role="worker", finished="2026-11-01T10:05:00Z"),
    )
    api.scripts = [[Step(("Failed",), pods=pods)]]
    assert "pod w: Error, exit code 1" in failure(job_request(nodes=2))
    assert api.count("POST", JOBS) == 1


def test_a_gang_that_was_told_to_end_is_started_again(api: KubeApi) -> None:
    pods = (ended("m", 1), ended("w", 143, role="worker"))  # in the same second
    api.scripts = [[Step(("Failed",), pods=pods)], [SUCCEEDED]]
    launch(job_request(nodes=2))
    assert api.jobs()[0]["metadata"]["annotations"]["daftt/restarts"] == "1"


def leaving(
    name: str, role: str, asked: str, phase: str = "Running", **more: Any
) -> dict[str, Any]:
    """A pod whose deletion was asked for; its time stamp is later by its grace."""
    made = pod(name, phase, role=role, **more)
    gone = datetime.fromisoformat(asked) + timedelta(seconds=60)
    made["metadata"] |= {
        "deletionTimestamp": f"{gone:%Y-%m-%dT%H:%M:%SZ}",
        "deletionGracePeriodSeconds": 60,
    }
    return made


# The training operator 1.9 counts a running pod with a deletionTimestamp as failed, and the job is
# Failed within a second; then it deletes the peers, or they exit 1 for a closed connection.
@pytest.mark.parametrize("role", ["master", "worker"])
@pytest.mark.parametrize("peer", ["exits 1", "is deleted, too"])
def test_a_deleted_pod_starts_the_gang_again(api: KubeApi, role: str, peer: str) -> None:
    other = "worker" if role == "master" else "master"
    deleted = leaving("a", role, "2026-11-01T10:05:00Z")
    peers = {
        "exits 1": ended("b", 1, role=other, finished="2026-11-01T10:05:01Z"),
        "is deleted, too": leaving("b", other, "2026-11-01T10:05:01Z"),
    }
    running = Step(("Running",), pods=(pod("a", role=role), pod("b", role=other)))
    counted = (role.title(),)
    failed = Step(("Failed",), pods=(deleted, peers[peer]), failed_replicas=counted)
    api.scripts = [[running, failed], [running, SUCCEEDED]]
    launch(job_request(nodes=2))
    assert api.jobs()[0]["metadata"]["annotations"]["daftt/restarts"] == "1"


@pytest.mark.parametrize("role", ["master", "worker"])
def test_a_pod_that_is_gone_before_it_is_looked_at_starts_the_gang_again(
    api: KubeApi, role: str
) -> None:
    """As a real one was that ended at once: deleted, the job failed, all pods gone in a second."""
    running = Step(("Running",), pods=(pod("a"), pod("b", role="worker")))
    failed = Step(("Failed",), pods=(), failed_replicas=(role.title(),))
    api.scripts = [[running, failed], [running, SUCCEEDED]]
    launch(job_request(nodes=2))
    assert api.jobs()[0]["metadata"]["annotations"]["daftt/restarts"] == "1"


def test_peers_that_are_gone_do_not_hide_a_program_error(api: KubeApi) -> None:
    running = Step(("Running",), pods=(pod("a"), pod("b", role="worker")))
    failed = Step(("Failed",), pods=(ended("b", 1, role="worker"),))
    api.scripts = [[running, failed]]
    assert "pod b: Error, exit code 1" in failure(job_request(nodes=2))
    assert api.count("POST", JOBS) == 1


def test_a_pod_that_waits_for_its_master_is_not_waited_for(api: KubeApi) -> None:
    """The operator's init container does not hear SIGTERM, and holds out for all of its grace."""
    waiting = leaving("b", "worker", "2026-11-01T10:05:01Z", "Pending")
    failed = Step(("Failed",), pods=(ended("a", 1), waiting))
    api.linger = 10_000
    api.scripts = [[failed]]
    assert "pod a: Error, exit code 1" in failure(job_request(nodes=2))


def test_a_gang_is_started_again_once_the_one_before_is_gone(
    api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods may outlast a TrainJob; two gangs would write the same checkpoints."""
    left: list[int] = []

    def create(plural: str, body: dict[str, Any]) -> tuple[int, Any]:
        left.append(len(api.pods_of(body["metadata"]["name"])))
        return KubeApi.create(api, plural, body)

    monkeypatch.setattr(api, "create", create)
    api.linger = 5
    api.scripts = [[RUNNING, Step(("Failed",), pods=(ended("m", 137),))], [RUNNING, SUCCEEDED]]
    launch()
    assert left == [0, 0]


def test_pods_of_a_job_before_are_not_taken_for_this_ones(
    api: KubeApi, caplog: pytest.LogCaptureFixture
) -> None:
    left = pod("old", uid="old")
    left["metadata"]["creationTimestamp"] = "2026-11-01T09:59:59Z"
    running = Step(("Running",), pods=(pod("new"), left))
    failed = Step(("Failed",), pods=(ended("new", 137), left))
    after = Step(pods=(pod("new"),))  # it is gone, and no pod of this job has vanished
    api.scripts = [[running, failed], [running, after, SUCCEEDED]]
    launch()
    assert caplog.text.count("starting all pods again") == 1


def test_peers_deleted_after_a_program_error_do_not_hide_it(api: KubeApi) -> None:
    pods = (
        ended("a", 1, role="worker", finished="2026-11-01T10:05:00Z"),
        leaving("b", "master", "2026-11-01T10:05:01Z", "Failed"),
    )
    api.scripts = [[Step(("Failed",), pods=pods, failed_replicas=("Worker", "Master"))]]
    assert "pod a: Error, exit code 1" in failure(job_request(nodes=2))
    assert api.count("POST", JOBS) == 1


def test_an_init_container_that_failed_is_the_one_whose_log_is_told(api: KubeApi) -> None:
    terminated = {"exitCode": 1, "reason": "Error", "finishedAt": EPOCH}
    inits = [{"name": "init-pytorch", "state": {"terminated": terminated}}]
    api.scripts = [
        [Step(("Failed",), pods=(pod("m", "Failed", initContainerStatuses=inits),))],
    ]
    failure()
    asked = [query["container"] for _, path, query in api.requests if path.endswith("/log")]
    assert asked[-1] == ["init-pytorch"]


def test_events_of_an_earlier_pod_of_the_name_are_not_told(api: KubeApi) -> None:
    api.scripts = [[RUNNING, Step(("Failed",), pods=(ended("m", 1),))]]
    api.warn("m", "Unhealthy", "of the pod before")
    api.events[-1]["involvedObject"]["uid"] = "of the pod before"
    assert "of the pod before" not in failure()


def test_pods_that_are_refused_for_good_end_the_job_early(
    api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LOOK_AT_EVENTS_SECONDS", 0.05)
    api.scripts = [[Step(("Created",), pods=())]]
    api.warn(
        job_request().name,
        "FailedCreatePod",
        'pods "m" is forbidden: violates PodSecurity "restricted:latest"',
    )
    said = failure(job_request(start_timeout_seconds=1800))
    assert "its pods are refused" in said
    assert 'violates PodSecurity "restricted:latest"' in said


@pytest.mark.parametrize("kueue", ["is not installed", "leaves out the kind", "lacks the queue"])
def test_a_queue_that_nobody_manages_is_said_and_has_a_clock(
    api: KubeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kueue: str
) -> None:
    monkeypatch.setattr(watching, "_LOOK_AT_QUEUE_SECONDS", 0.05)
    reason = "Kueue has made no Workload for it"
    if kueue != "is not installed":
        api.installed |= {"workloads"}
    if kueue == "lacks the queue":
        reason = "LocalQueue gpus doesn't exist"
        api.add_workload("uid-1", reason)  # of the first job that is made here
    api.scripts = [[Step(("Created", "Suspended")) for _ in range(500)]]
    said = failure(job_request(queue="gpus", start_timeout_seconds=1))
    assert reason in said
    assert f"queued: {reason}" in caplog.text


@pytest.mark.parametrize("readable", [True, False])
def test_what_the_queue_says_is_shown_and_has_no_clock(
    api: KubeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, readable: bool
) -> None:
    monkeypatch.setattr(watching, "_LOOK_AT_QUEUE_SECONDS", 0.05)
    api.installed |= {"workloads"}
    api.add_workload("uid-1", "insufficient unused quota for cpu in flavor default")
    api.faults = [] if readable else [Fault("GET", "/workloads", 403, 1000)]
    queued = Step(("Created", "Suspended"))
    api.scripts = [[*[queued] * 12, Step(suspend=False), RUNNING, SUCCEEDED]]
    launch(job_request(queue="gpus", start_timeout_seconds=1), poll_seconds=0.1)
    shown = "insufficient unused quota for cpu" if readable else "cannot be read"
    assert shown in caplog.text


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("exceeded quota: daftt, requested: pods=1", "its quota is used up"),
        ('violates PodSecurity "restricted"', "its pod security does not allow this"),
        ('admission webhook "policy" denied the request', "the cluster's policy refuses"),
    ],
)
def test_refusals_are_told_from_missing_rights(api: KubeApi, message: str, said: str) -> None:
    api.faults = [Fault("POST", JOBS, 403, message=message)]
    told = failure()
    assert said in told
    assert "give it a Role" not in told


def test_pods_that_would_be_restarted_one_by_one_are_refused(api: KubeApi) -> None:
    """By a runtime such as the one that comes with Kubeflow Trainer."""
    restarting = pod("m", "Pending")
    restarting["spec"] = {"restartPolicy": "OnFailure"}
    api.scripts = [[Step(("Created",), pods=(restarting,))]]
    with pytest.raises(JobError) as caught:
        launch(job_request(launcher="trainjob", runtime="torch-distributed"), kind="trainjob")
    assert "job_runtime torch-distributed: it restarts pods one by one" in str(caught.value)
    assert all("deletionTimestamp" in job["metadata"] for job in api.jobs())


def test_what_makes_the_pods_of_a_trainjob_is_heard_too(
    api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Job that Trainer's JobSet makes; and nothing from before this very TrainJob."""
    monkeypatch.setattr(watching, "_LOOK_AT_EVENTS_SECONDS", 0.05)
    api.scripts = [[Step(("Created",), pods=())]]
    request = job_request(launcher="trainjob", start_timeout_seconds=1800)
    refused = 'Error creating: pods "m" is forbidden: violates PodSecurity "restricted:latest"'
    api.warn(f"{request.name}-node-0", "FailedCreate", refused, kind="Job")
    api.warn(f"{request.name}-node-0", "FailedCreate", "of the job before", kind="Job")
    api.events[-1]["lastTimestamp"] = "2026-11-01T09:59:59Z"
    with pytest.raises(JobError) as caught:
        launch(request, kind="trainjob")
    assert "its pods are refused" in str(caught.value)
    assert f"event about {request.name}-node-0: FailedCreate: {refused}" in str(caught.value)
    assert "of the job before" not in str(caught.value)


def test_restarts_have_a_limit(api: KubeApi) -> None:
    api.scripts = [[RUNNING, Step(("Failed",), pods=(ended("m", 137, "OOMKilled"),))]] * 3
    said = failure(job_request(max_restarts=2))
    assert "OOMKilled: it used more than job_memory" in said
    assert "started again 2 times already, and job_max_restarts is 2" in said


def test_a_pod_that_vanishes_starts_the_whole_gang_again(
    api: KubeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.scripts = [
        [RUNNING, RUNNING, Step(pods=(pod("m", uid="another"),)), Step(), Step()],
        [RUNNING, SUCCEEDED],
    ]
    launch()
    assert "pod m has vanished; starting all pods again (1)" in caplog.text


def test_a_job_that_was_deleted_fails_at_once(api: KubeApi) -> None:
    api.scripts = [[RUNNING, Step(deleted=True)]]
    assert "was deleted while it was at work" in failure()


def test_a_deadline_is_no_reason_to_start_again(api: KubeApi) -> None:
    api.scripts = [
        [RUNNING, Step(("Failed",), "DeadlineExceeded", "too long", pods=(ended("m", 137),))]
    ]
    assert "DeadlineExceeded" in failure()
    assert api.count("POST", JOBS) == 1


def test_pods_that_never_start_end_the_job_and_say_why(
    api: KubeApi, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "not found: train:1"}
    stuck = pod("m", "Pending", containerStatuses=[{"state": {"waiting": waiting}}])
    api.scripts = [[Step(("Created",), pods=(stuck,))]]
    api.warn("m", "Failed", "Failed to pull image")
    said = failure(job_request(start_timeout_seconds=1))
    assert "not started within 1 s" in said
    assert "pod m does not start: ImagePullBackOff: not found: train:1" in said
    assert "event about m: Failed: Failed to pull image" in said
    assert "pod m does not start: ImagePullBackOff" in caplog.text  # while waiting, too
    assert all("deletionTimestamp" in job["metadata"] for job in api.jobs())


def test_a_pod_that_fits_no_node_is_said(api: KubeApi) -> None:
    unfit = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    unfit["message"] = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    api.scripts = [[Step(("Created",), pods=(pod("m", "Pending", conditions=[unfit]),))]]
    said = failure(job_request(start_timeout_seconds=1))
    assert "Unschedulable: 0/3 nodes are available" in said


def test_a_controller_that_is_not_at_work_is_told_apart(api: KubeApi) -> None:
    said = failure(job_request(start_timeout_seconds=1))
    assert "nothing was heard from the Kubeflow Training Operator; is it at work?" in said


def test_preemption_by_the_queue_is_no_failure(api: KubeApi) -> None:
    away = Step(("Suspended",), pods=(), suspend=True)
    api.scripts = [[RUNNING, RUNNING, away, away, Step(suspend=False), RUNNING, SUCCEEDED]]
    launch()
    assert api.count("POST", JOBS) == 1


# submitting


def test_a_relaunch_adopts_its_own_job(api: KubeApi, caplog: pytest.LogCaptureFixture) -> None:
    """Of a run that is started again, whose workflow is another one."""
    api.scripts = [[RUNNING, SUCCEEDED]]
    made = api.add_job("pytorchjobs", KINDS["pytorchjob"].build(job_request()))
    launch(step_of(api, "step-2", "run-2"))
    assert "already there; adopted" in caplog.text
    (job,) = api.jobs()
    assert job["metadata"]["uid"] == made["metadata"]["uid"]
    assert [o["uid"] for o in job["metadata"]["ownerReferences"]] == ["uid-of-run-2"]


def test_a_job_that_is_adopted_outside_a_step_goes_with_no_run(api: KubeApi) -> None:
    api.scripts = [[RUNNING, SUCCEEDED]]
    made = KINDS["pytorchjob"].build(job_request())
    made["metadata"]["ownerReferences"] = [{"kind": "Workflow", "name": "run-1", "uid": "u"}]
    made["metadata"]["annotations"]["daftt/waited-for"] = EPOCH
    api.add_job("pytorchjobs", made)
    launch()
    (job,) = api.jobs()
    assert job["metadata"]["ownerReferences"] == []
    assert job["metadata"]["annotations"] == {"daftt/restarts": "0"}


def test_a_job_of_other_settings_is_never_adopted(api: KubeApi) -> None:
    manifest = KINDS["pytorchjob"].build(job_request())
    manifest["metadata"]["labels"]["daftt/digest"] = "another"
    api.add_job("pytorchjobs", manifest)
    assert "was made with other settings" in failure()


def test_a_failed_job_is_not_adopted_but_made_anew(api: KubeApi) -> None:
    api.scripts = [[], [RUNNING, SUCCEEDED]]
    manifest = KINDS["pytorchjob"].build(job_request())
    manifest["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
    failed = api.add_job("pytorchjobs", manifest)
    launch()
    (job,) = api.jobs()
    assert job["metadata"]["uid"] != failed["metadata"]["uid"]


def test_a_job_that_is_being_deleted_is_waited_out(api: KubeApi) -> None:
    api.scripts = [[], [SUCCEEDED]]
    made = api.add_job("pytorchjobs", KINDS["pytorchjob"].build(job_request()))
    api.linger = 3
    cluster = Cluster(connect(HASTY))
    cluster.delete(KINDS["pytorchjob"], made["metadata"]["name"], made["metadata"]["uid"])
    launch()
    assert [job["metadata"]["uid"] for job in api.jobs()] != [made["metadata"]["uid"]]


@pytest.mark.parametrize("what", ["lost", "drop", 500, 503, "slow"])
def test_a_fault_while_submitting_makes_one_job_and_no_more(api: KubeApi, what: int | str) -> None:
    api.scripts = [[RUNNING, SUCCEEDED]]
    api.faults = [Fault("POST", JOBS, what)]
    launch()
    assert len(api.jobs()) == 1


# the cluster's own faults


def test_faults_that_pass_are_waited_out(api: KubeApi, caplog: pytest.LogCaptureFixture) -> None:
    lines = tuple(f"step {i}" for i in range(40))
    looks = [Step(log=lines[i : i + 2]) for i in range(0, 40, 2)]
    api.scripts = [[RUNNING, *looks, SUCCEEDED]]
    api.faults = [
        Fault("GET", JOBS, 500, 2),
        Fault("GET", JOBS, 429, 1, {"Retry-After": "0"}),
        Fault("GET", JOBS, 401),
        Fault("GET", JOBS, "drop", 2),
        Fault("GET", JOBS, "html"),
        Fault("GET", "/pods", 410),
        Fault("GET", "/pods", "cut", 2),
        Fault("GET", "/log", "drop", 2),
        Fault("GET", "/log", "cut", 4),
        Fault("GET", "/log", 500, 2),
        Fault("GET", "/log", "slow"),
    ]
    launch()
    assert shown(caplog) == list(lines)
    assert api.faults == []


@pytest.mark.parametrize(
    "what",
    [b'{"kind": "\xff"}', b"[" * 100_000, b"[]", b"null", "dribble"],
    ids=["not UTF-8", "deep", "a list", "null", "dribble"],
)
@pytest.mark.parametrize("path", [JOBS, "/pods", "/log"])
def test_an_answer_that_cannot_be_read_is_asked_for_again(
    api: KubeApi, path: str, what: str | bytes
) -> None:
    """A server that dribbles would do so without end; then this test would not end."""
    api.scripts = [[RUNNING, Step(log=("a line",)), SUCCEEDED]]
    api.faults = [Fault("GET", path, what)]
    launch()
    assert api.faults == []


def test_null_is_a_list_without_entries(api: KubeApi) -> None:
    api.faults = [Fault("GET", "/pods", b'{"items": null}')]
    assert Cluster(connect(HASTY)).pods("a=b") == []


@pytest.mark.parametrize("pause", ["nan", "inf", "-1", "\xb2", "soon"])
def test_a_pause_that_is_none_stops_nothing(api: KubeApi, pause: str) -> None:
    api.scripts = [[SUCCEEDED]]
    api.faults = [Fault("GET", JOBS, 429, 1, {"Retry-After": pause})]
    launch()
    assert api.faults == []


def test_being_asked_to_wait_is_obeyed(api: KubeApi) -> None:
    api.scripts = [[SUCCEEDED]]
    api.faults = [Fault("GET", JOBS, 429, 1, {"Retry-After": "1"})]
    started = time.monotonic()
    launch()
    assert time.monotonic() - started >= 1


def test_a_cluster_that_stays_away_is_given_up_with_one_sentence(api: KubeApi) -> None:
    api.faults = [Fault("POST", JOBS, 503, 10_000)]
    impatient = Patience(total_seconds=0.1, first_delay_seconds=0.01, read_seconds=5)
    said = failure(patience=impatient)
    assert said == "the cluster keeps answering 503 (injected 503)"
    api.faults = [Fault("POST", JOBS, "drop", 10_000)]
    assert failure(patience=impatient).startswith("the cluster cannot be reached: ")


def test_a_token_that_stays_refused_is_given_up_soon(api: KubeApi) -> None:
    api.faults = [Fault("POST", JOBS, 401, 10_000)]
    assert failure() == "the cluster does not accept this token (injected 401)"


def test_missing_rights_are_told_in_one_sentence(api: KubeApi) -> None:
    api.faults = [Fault("POST", JOBS, 403)]
    said = failure()
    assert said.startswith("namespace team-a: the service account may not POST pytorchjobs")
    assert api.count("POST", JOBS) == 0


def test_a_cluster_without_the_operator_is_told_in_one_sentence(api: KubeApi) -> None:
    api.installed = set()
    assert "install the Kubeflow Training Operator" in failure()


def test_pods_and_events_that_may_not_be_read_do_not_fail_a_job(
    api: KubeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.scripts = [[RUNNING, SUCCEEDED]]
    api.faults = [Fault("GET", "/pods", 403, 10_000)]
    launch()
    assert "pods and their logs cannot be shown" in caplog.text
    api.faults = [Fault("GET", "/events", 403, 10_000)]
    api.scripts = [[RUNNING, Step(("Failed",), "Broken", pods=(ended("m", 1),))]]
    said = failure(job_request(run="another"))
    assert "failed: Broken" in said
    assert "events cannot be read" in said


def test_no_cluster_at_all_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(JobError, match="no cluster is known here"):
        connect()


# the step and its job


def step_of(api: KubeApi, step: str, workflow: str, **config: object) -> JobRequest:
    """The request of a step whose pod is there, as Argo has made it."""
    api.add_pod(owned(pod(step), workflow))
    return job_request(step=StepPod(step, step), **config)


def told_to_end(
    api: KubeApi, request: JobRequest | None = None, before: Callable[[], object] = lambda: None
) -> str:
    """The error's words, if the step is told to end while the job is at work.

    Just before, something is changed on the server.
    """

    def end_once_running() -> None:
        while api.count("GET", JOBS) < 3:
            time.sleep(0.01)
        before()
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end_once_running)
    thread.start()
    said = failure(request)
    thread.join()
    return said


def test_a_job_goes_with_the_workflow_of_its_step(api: KubeApi) -> None:
    api.scripts = [[RUNNING, SUCCEEDED]]
    launch(step_of(api, "step-1", "run-1"))
    (job,) = api.jobs()
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run-1"}
    assert job["metadata"]["ownerReferences"] == [{**workflow, "uid": "uid-of-run-1"}]


@pytest.mark.parametrize("what", ["forbidden", "gone", "of no workflow"])
def test_where_the_workflow_is_not_known_a_job_goes_with_the_pod_of_its_step(
    api: KubeApi, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    api.scripts = [[RUNNING, SUCCEEDED]]
    request = step_of(api, "step-1", "run-1")
    if what == "forbidden":
        api.faults = [Fault("GET", "/pods/step-1", 403)]
    elif what == "gone":
        del api.objects["pods", "step-1"]
    else:
        del api.objects["pods", "step-1"]["metadata"]["ownerReferences"]
    launch(request)
    (job,) = api.jobs()
    own = {"apiVersion": "v1", "kind": "Pod", "name": "step-1", "uid": "step-1"}
    assert job["metadata"]["ownerReferences"] == [own]
    assert "the job ends with the pod of this step, and not with its run: " in caplog.text


def test_a_job_in_another_namespace_has_no_owner(api: KubeApi) -> None:
    """It would count as gone there, and the job would go at once."""
    api.scripts = [[RUNNING, SUCCEEDED]]
    launch(step_of(api, "step-1", "run-1", namespace="elsewhere"))
    (job,) = api.jobs()
    assert job["metadata"]["ownerReferences"] == []
    assert "daftt/waited-for" in job["metadata"]["annotations"]


@pytest.mark.parametrize("what", ["terminated", "outside a cluster", "unreadable", "slow"])
def test_a_step_that_is_told_to_end_takes_its_job_along(api: KubeApi, what: str) -> None:
    api.scripts = [[RUNNING]]
    before = signal.getsignal(signal.SIGTERM)
    request = None if what == "outside a cluster" else step_of(api, "step-1", "run-1")
    fault = Fault("GET", "/pods/step-1", 403 if what == "unreadable" else "slow")
    faults = [fault] if what in ("unreadable", "slow") else []
    said = told_to_end(api, request, before=lambda: api.faults.extend(faults))
    assert said.startswith("the step was told to end, so PyTorchJob")
    assert all(job["metadata"]["deletionTimestamp"] == EPOCH for job in api.jobs())
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("what", ["is deleted", "is deleted by force"])
def test_a_job_whose_steps_pod_is_deleted_goes_on_and_is_adopted(
    api: KubeApi, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    api.scripts = [[*[RUNNING] * 50, SUCCEEDED]]
    first = step_of(api, "step-1", "run-1")
    own = api.objects["pods", "step-1"]["metadata"]
    api.linger = 1000
    end = partial(own.update, deletionTimestamp=EPOCH)
    if what == "is deleted by force":
        end = partial(api.objects.pop, ("pods", "step-1"))
    said = told_to_end(api, first, before=end)
    assert said.startswith("the pod of this step is being deleted; PyTorchJob")
    assert "goes on, and is adopted when the step is begun again" in said
    assert api.count("DELETE", JOBS) == 0
    launch(step_of(api, "step-2", "run-1"))
    assert "already there; adopted" in caplog.text
    assert api.count("DELETE", JOBS) == 0
    assert len(api.jobs()) == 1


def test_a_step_shows_that_it_waits_for_its_job(
    api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_HEARTBEAT_SECONDS", 0.0)
    api.scripts = [[RUNNING, RUNNING, RUNNING, SUCCEEDED]]
    api.faults = [Fault("PATCH", JOBS, 403)]  # a heartbeat that is refused fails no job
    launch(step_of(api, "step-1", "run-1"))
    assert api.count("PATCH", JOBS) == 2
    (job,) = api.jobs()
    assert job["metadata"]["annotations"]["daftt/waited-for"].startswith(f"{datetime.now():%Y}")


def test_outside_a_step_nothing_is_shown(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer that sleeps would look like a step that has died."""
    monkeypatch.setattr(watching, "_HEARTBEAT_SECONDS", 0.0)
    api.scripts = [[RUNNING, RUNNING, SUCCEEDED]]
    launch()
    assert api.count("PATCH", JOBS) == 0
    assert "daftt/waited-for" not in api.jobs()[0]["metadata"]["annotations"]
