"""The whole pipeline in a real Kubeflow, as a user knows it: one run, from upload to report.

A run with tiny models is submitted, stopped while its teacher trains, and submitted again. It
resumes, loses the teacher's pod and then a driver's to ``kubectl delete pod``, and comes to its
end. Stages, logs, summary, report and message are then read with the commands that users have. On
two cores that takes about half an hour.

It needs Kubeflow Pipelines 2.17 or newer with the images that the compiled pipeline names
(components/images.py), a kubeconfig that may read and delete the pods of runs and create a secret
beside them, and a store that pods reach. It is told by environment variables:

    DAFTT_TEST_KFP               address of the Kubeflow Pipelines API; skipped without it
    KUBECONFIG                   the cluster; skipped without it
    DAFTT_TEST_NAMESPACE         where runs go; default: kubeflow, as with one user
    DAFTT_TEST_THIS_HOST         an address of this machine at which pods reach it; the message
                                 at the run's end is sent there, and not looked at without it
    DAFTT_TEST_BUCKET            gs://...; default: an emulator that the test starts at
                                 DAFTT_TEST_THIS_HOST
    STORAGE_EMULATOR_HOST        address of the emulator that has DAFTT_TEST_BUCKET, if one has
    DAFTT_TEST_STORAGE_EMULATOR  the same as pods reach it; default: STORAGE_EMULATOR_HOST

    DAFTT_TEST_KFP=http://localhost:8888 DAFTT_TEST_THIS_HOST=172.18.0.1 KUBECONFIG=FILE \
        pytest -m cluster tests/cluster/test_whole_run.py

With several users, DAFTT_KFP_TOKEN or DAFTT_KFP_COOKIE and DAFTT_KFP_SERVICE_ACCOUNT hold as for
the commands. What the test leaves behind are a version of the pipeline, two runs named
daftt-test-..., and a folder of that name in the bucket.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
from gcs_server import gcs_server, make_bucket
from toy_run import toy_config

from daftt_core.config import to_flat
from daftt_core.stages import EVALUATION, PROMOTION, REPORT, TEACHER
from daftt_core.storage import Storage, open_storage
from daftt_core.workspace.progress import PROGRESS
from daftt_core.workspace.status import StageStatus, read_remote_statuses

KFP = os.environ.get("DAFTT_TEST_KFP", "")
NAMESPACE = os.environ.get("DAFTT_TEST_NAMESPACE", "kubeflow")
THIS_HOST = os.environ.get("DAFTT_TEST_THIS_HOST", "")
BUCKET = os.environ.get("DAFTT_TEST_BUCKET", "").rstrip("/")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(3 * 3600),
    pytest.mark.skipif(
        not (KFP and os.environ.get("KUBECONFIG") and (BUCKET or THIS_HOST)),
        reason="needs Kubeflow Pipelines: export DAFTT_TEST_KFP=http://localhost:8888 "
        "KUBECONFIG=FILE DAFTT_TEST_THIS_HOST=ADDRESS (or DAFTT_TEST_BUCKET=gs://...)",
    ),
]

ROLE = "pipelines.kubeflow.org/runtime-role"
"""An annotation of every pod of a run: ``driver`` or ``launcher``, which is an executor
(KFP 2.17, backend/src/common/util/consts.go)."""

RESUMING = "teacher: resuming after"
STEP_SECONDS = 900  # for what takes a few pods, on a busy machine
RUN_SECONDS = 2 * 3600

T = TypeVar("T")


@dataclass(frozen=True)
class Store:
    """A bucket, and what pods need in their environment to reach it."""

    uri: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Ended:
    """What became of the run, and what was noted on the way.

    Attributes:
        name: Its name.
        uri: Its folder.
        settings: The file it was submitted with.
        stopped_id: The attempt that was stopped.
        run_id: The attempt that ended.
        statuses_when_stopped: What the stages said then.
        logs_when_stopped: What ``daftt logs --failed`` printed then.
        told_when_stopped: The messages until then.
        deleted_driver: The last phase in which the deleted driver's pod was seen.
    """

    name: str
    uri: str
    settings: Path
    stopped_id: str
    run_id: str
    statuses_when_stopped: dict[str, StageStatus]
    logs_when_stopped: str
    told_when_stopped: tuple[dict[str, Any], ...]
    deleted_driver: str


@dataclass
class Messages:
    """Takes messages, as the server behind a webhook.

    Attributes:
        url: Its address, as pods reach it; empty where there is none.
        secret: The secret that holds it.
        bodies: What it was sent.
    """

    url: str = ""
    secret: str = "daftt-notify"
    bodies: list[dict[str, Any]] = field(default_factory=list)


class Submitted:
    """``daftt submit --wait`` in a process of its own."""

    def __init__(self, settings: Path, folder: Path) -> None:
        self._out, self._err = folder / "out.json", folder / "err.txt"
        folder.mkdir()
        with self._out.open("w") as out, self._err.open("w") as err:
            command = ["submit", "--settings", str(settings), "--wait", "--json"]
            self.process = start(*command, stdout=out, stderr=err)

    @property
    def run_id(self) -> str:
        """The run's id, once it is there."""

        def read() -> str:
            try:
                return str(json.loads(self._out.read_text())["run_id"])
            except ValueError:
                return ""

        return self.until("the run is there", read)

    def until(self, what: str, look: Callable[[], T], seconds: float = STEP_SECONDS) -> T:
        """Look until something is there, for as long as the run has not ended."""

        def look_again() -> T:
            seen = look()
            assert seen or self.process.poll() is None, f"it ended before {what}:\n{self.errors}"
            return seen

        return until(what, look_again, seconds)

    def exit_code(self, seconds: float) -> int:
        """How the command ends."""
        return self.process.wait(seconds)

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._err.read_text()


def until(what: str, look: Callable[[], T], seconds: float) -> T:
    """Look several times a second until something is there; returns what was seen."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} seconds: {what}"
        time.sleep(0.2)
    return seen


def start(*words: str, **streams: Any) -> subprocess.Popen[str]:
    """Start a command of ``daftt`` as a shell does."""
    environment = {**os.environ, "DAFTT_KFP_HOST": KFP}
    if "DAFTT_TEST_NAMESPACE" in os.environ:
        environment["DAFTT_KFP_NAMESPACE"] = NAMESPACE
    command = [sys.executable, "-m", "daftt_core.cli", *words]
    return subprocess.Popen(command, env=environment, text=True, **streams)


def daftt(*words: str) -> str:
    """What a command of ``daftt`` prints."""
    with start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=STEP_SECONDS)
    assert process.returncode == 0, f"daftt {' '.join(words)}:\n{out}\n{err}"
    return out


class Pods:
    """The pods of a run."""

    def __init__(self, core: Any, run_id: str) -> None:
        self._core = core
        self._selector = f"pipeline/runid={run_id}"

    def at_work(self, role: str = "") -> list[str]:
        """The names of those that have not ended, and that nobody has deleted."""
        return [pod.metadata.name for pod in self._living(role)]

    def starting_driver(self) -> str:
        """The name of a driver none of whose containers has begun; empty if there is none.

        The driver of KFP 2.17 that is killed once it has registered its task makes the run fail:
        the one that is started in its place registers it again ("two tasks have the same task
        name", backend/src/v2/metadata/client.go).
        """
        for pod in self._living("driver"):
            states = [each.state for each in pod.status.init_container_statuses or []]
            if not any(state.running or state.terminated for state in states):
                return str(pod.metadata.name)
        return ""

    def _living(self, role: str) -> list[Any]:
        pods = self._core.list_namespaced_pod(NAMESPACE, label_selector=self._selector).items
        return [
            pod
            for pod in pods
            if pod.status.phase in ("Pending", "Running")
            and not pod.metadata.deletion_timestamp
            and role in (pod.metadata.annotations or {}).get(ROLE, "")
        ]

    def executor_that_says(self, text: str) -> str:
        """The name of an executor at work whose log has a text; empty if there is none."""
        return next((name for name in self.at_work("launcher") if text in self._log(name)), "")

    def delete(self, name: str) -> str:
        """Delete a pod, and return its last phase once it is gone.

        Argo makes a pod whose program has not begun again, under the same name.
        """
        pod = self._read(name)
        phase = pod.status.phase
        uid = pod.metadata.uid
        self._core.delete_namespaced_pod(name, NAMESPACE)

        def is_gone() -> bool:
            nonlocal phase
            seen = self._read(name)
            if seen is None or seen.metadata.uid != uid:
                return True
            phase = seen.status.phase
            return False

        until(f"pod {name} is gone", is_gone, STEP_SECONDS)
        return str(phase)

    def _log(self, name: str) -> str:
        from kubernetes.client import ApiException

        try:
            return str(self._core.read_namespaced_pod_log(name, NAMESPACE, container="main"))
        except ApiException as error:
            if error.status not in (400, 404):  # it has not begun, or is gone
                raise
            return ""

    def _read(self, name: str) -> Any:
        from kubernetes.client import ApiException

        try:
            return self._core.read_namespaced_pod(name, NAMESPACE)
        except ApiException as error:
            if error.status != 404:
                raise
            return None


@pytest.fixture(scope="module")
def core() -> Any:
    from kubernetes import client, config

    config.load_kube_config(os.environ["KUBECONFIG"])  # the client looks once, when imported
    return client.CoreV1Api()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with ExitStack() as stack:
        bucket, here = BUCKET, os.environ.get("STORAGE_EMULATOR_HOST", "")
        if not bucket:
            here = stack.enter_context(gcs_server(tmp_path_factory.mktemp("gcs"), host=THIS_HOST))
            make_bucket(here, "daftt-test")
            bucket = "gs://daftt-test"
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DAFTT_CACHE", str(tmp_path_factory.mktemp("cache")))
        if here:
            patch.setenv("STORAGE_EMULATOR_HOST", here)
        there = os.environ.get("DAFTT_TEST_STORAGE_EMULATOR", here)
        yield Store(bucket, {"STORAGE_EMULATOR_HOST": there} if there else {})


@pytest.fixture(scope="module")
def messages(core: Any) -> Iterator[Messages]:
    """The server for messages; its URL is in a secret, as the steps expect it."""
    if not THIS_HOST:
        yield Messages()
        return
    with _message_server() as messages:
        messages.secret = f"daftt-test-{uuid.uuid4().hex[:8]}"
        body = {"metadata": {"name": messages.secret}, "stringData": {"url": messages.url}}
        core.create_namespaced_secret(NAMESPACE, body)
        try:
            yield messages
        finally:
            core.delete_namespaced_secret(messages.secret, NAMESPACE)


@contextmanager
def _message_server() -> Iterator[Messages]:
    messages = Messages()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            messages.bodies.append(json.loads(self.rfile.read(size)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((THIS_HOST, 0), Handler)
    messages.url = f"http://{THIS_HOST}:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield messages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def ended(
    core: Any, store: Store, messages: Messages, tmp_path_factory: pytest.TempPathFactory
) -> Ended:
    """Start the run, stop it, start it again, delete a pod of each kind, and wait for its end."""
    folder = tmp_path_factory.mktemp("whole")
    name = f"daftt-test-{uuid.uuid4().hex[:8]}"
    base = f"{store.uri}/{name}"
    settings = write_settings(folder, name, base, store, messages)
    daftt("upload", "--settings", str(settings))
    run = open_storage(f"{base}/runs/{name}")

    first = Submitted(settings, folder / "first")
    stopped_id = first.run_id
    first.until("the teacher's checkpoint is stored", lambda: stored_checkpoints(run))
    daftt("stop", name)
    assert first.exit_code(STEP_SECONDS) == 10
    assert f"{name}: canceled" in first.errors
    pods = Pods(core, stopped_id)
    until("the stopped run's pods have ended", lambda: not pods.at_work(), STEP_SECONDS)
    statuses_when_stopped = {status.stage: status for status in read_remote_statuses(run)}
    logs_when_stopped = daftt("logs", stopped_id, "--failed")
    told_when_stopped = tuple(messages.bodies)
    messages.bodies.clear()

    second = Submitted(settings, folder / "second")
    pods = Pods(core, second.run_id)
    executor = second.until("the teacher resumes", lambda: pods.executor_that_says(RESUMING))
    assert pods.delete(executor) != "Succeeded"
    second.until("the teacher resumes again", lambda: pods.executor_that_says(RESUMING))
    deleted_driver = pods.delete(second.until("a driver starts", pods.starting_driver))
    assert second.exit_code(RUN_SECONDS) == 0, second.errors
    return Ended(
        name=name,
        uri=run.uri,
        settings=settings,
        stopped_id=stopped_id,
        run_id=second.run_id,
        statuses_when_stopped=statuses_when_stopped,
        logs_when_stopped=logs_when_stopped,
        told_when_stopped=told_when_stopped,
        deleted_driver=deleted_driver,
    )


def write_settings(folder: Path, name: str, base: str, store: Store, messages: Messages) -> Path:
    """Bring data and models to the bucket, and write a file of settings that name them there."""
    config = toy_config(
        folder,
        name=name,
        output=f"{base}/runs",
        data_train=f"{base}/meals.csv",
        teacher_model=f"{base}/models/teacher",
        student_model=f"{base}/models/student",
        teacher_epochs=400,  # so that it is long enough to be stopped and killed
        teacher_checkpoint_steps=100,
        mixture_tasks=2,
        mixture_share=0.9,
        synthesis_shards=1,
        notify_format="webhook" if messages.url else "none",
        notify_secret=messages.secret,
        cluster_cpus="500m",
        cluster_memory="2Gi",
        cluster_light_cpus="250m",
        cluster_light_memory="1Gi",
        cluster_environment={"OMP_NUM_THREADS": "1", **store.environment},
    )
    open_storage(base).write("meals.csv", (folder / "meals.csv").read_bytes())
    for model in ("teacher", "student"):
        daftt("models", "copy", str(folder / model), f"{base}/models/{model}")
    path = folder / "settings.json"  # JSON is YAML
    path.write_text(json.dumps(to_flat(config)))
    return path


def stored_checkpoints(run: Storage) -> list[str]:
    """What there is of the teacher to resume from."""
    names = run.entries(f"{PROGRESS}/{TEACHER}/")
    return [name for name in names if "/folders/" in name and "checkpoint-" in name]


def remote_runs() -> dict[str, dict[str, Any]]:
    return {run["run_id"]: run for run in json.loads(daftt("runs", "--remote", "--json"))}


def test_a_pipeline_that_is_there_is_not_uploaded_again(ended: Ended) -> None:
    assert "is there already" in daftt("upload", "--settings", str(ended.settings))


def test_a_stopped_run_is_canceled_and_its_folder_and_logs_say_so(ended: Ended) -> None:
    assert remote_runs()[ended.stopped_id]["status"] == "canceled"
    teacher = ended.statuses_when_stopped[TEACHER.name]
    assert (teacher.state, teacher.message.partition(";")[0]) == ("failed", "stopped by daftt stop")
    assert f"stage teacher: failed: {teacher.message}\n" in ended.logs_when_stopped
    assert "running" not in {status.state for status in ended.statuses_when_stopped.values()}


def test_what_is_told_of_a_stopped_run_is_that_it_was_stopped(ended: Ended) -> None:
    for body in ended.told_when_stopped:  # Argo still runs the exit handler, but promises nothing
        assert body["outcome"] == "failed"
        assert "stopped by daftt stop" in body["sentence"]


def test_a_run_that_lost_an_executor_and_a_driver_succeeds(ended: Ended) -> None:
    assert ended.deleted_driver != "Succeeded"
    assert remote_runs()[ended.run_id]["status"] == "succeeded"
    statuses = read_remote_statuses(open_storage(ended.uri))
    states = {status.stage: status.state for status in statuses}
    assert set(states.values()) == {"done"}
    last = {EVALUATION.name, PROMOTION.name, REPORT.name}
    students = {"students/real", "students/gold", "students/real+both"}
    assert last | students <= set(states)


def test_a_run_that_has_succeeded_is_not_started_twice(ended: Ended) -> None:
    assert f"is there as {ended.run_id}" in daftt("submit", "--settings", str(ended.settings))


def test_the_bucket_lists_it_with_its_result(ended: Ended) -> None:
    output = ended.uri.rpartition("/")[0]
    (listed,) = json.loads(daftt("runs", output, "--json"))
    assert (listed["name"], listed["status"]) == (ended.name, "done")
    assert "%" in listed["headline"]


def test_logs_show_stages_and_what_steps_wrote(ended: Ended) -> None:
    logs = daftt("logs", ended.name)
    assert f"{ended.name}: succeeded\n" in logs
    assert "stage teacher: done\n" in logs
    assert RESUMING in logs
    assert "driver" not in logs.partition("====")[0]
    assert "no pod" not in logs


def test_the_summary_says_how_it_ended_and_lists_its_stages(ended: Ended) -> None:
    summary = open_storage(ended.uri).read("summary.md")
    assert summary
    title, *lines = summary.data.decode().splitlines()
    assert title.startswith("# A run ended and its student ")
    assert title.endswith(f": {ended.name}")
    for status in read_remote_statuses(open_storage(ended.uri)):
        assert any(line.startswith(f"| {status.stage} | done |") for line in lines)
    assert "| failed |" not in summary.data.decode()


def test_the_report_has_the_result(ended: Ended) -> None:
    page = Path(daftt("report", ended.uri).strip()).read_text(encoding="utf-8")
    evaluation = json.loads(daftt("runs", ended.uri.rpartition("/")[0], "--json"))[0]["headline"]
    assert evaluation.removesuffix(".") in page
    assert "instances of 2 other tasks" in page
    assert 'id="promotion"' in page


def test_the_message_tells_the_end_once(ended: Ended, messages: Messages) -> None:
    if not messages.url:
        pytest.skip("export DAFTT_TEST_THIS_HOST=ADDRESS, at which pods reach this machine")
    (body,) = messages.bodies
    assert body["outcome"] in ("promoted", "not-promoted")
    assert (body["run"], body["task"], body["uri"]) == (ended.name, "meals", ended.uri)
    assert body["failures"] == []
