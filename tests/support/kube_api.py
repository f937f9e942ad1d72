"""A small Kubernetes API server for tests: real HTTP for the official client, scripted jobs.

A job moves on by one step of its script at each GET of it, so a test needs no clock. What it knows:
custom objects (create, get, list, merge-patch, delete in the foreground), pods, their logs, and
events; uid, resourceVersion, labels and selectors. Faults are injected before or after a request
is carried out.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Fault", "KubeApi", "Step", "kube_api", "owned", "pod"]

NAMESPACE = "team-a"
TOKEN = "a-token"
_JOBS = {"pytorchjobs": "kubeflow.org", "trainjobs": "trainer.kubeflow.org"}
EPOCH = "2026-11-01T10:00:00Z"
_OF_OPERATOR = {
    "Created": ("PyTorchJobCreated", "PyTorchJob {} is created."),
    "Running": ("PyTorchJobRunning", "PyTorchJob {} is running."),
    "Suspended": ("PyTorchJobSuspended", "PyTorchJob {} is suspended."),
    "Succeeded": ("PyTorchJobSucceeded", "PyTorchJob {} is successfully completed."),
    "Failed": (
        "PyTorchJobFailed",
        "Job {} has failed because it has reached the specified backoff limit",
    ),
}
_OF_TRAINER = {
    "Suspended": ("Suspended", "TrainJob is suspended"),
    "Complete": ("AllJobsCompleted", "jobset completed successfully"),
    "Failed": (
        "ReachedMaxRestarts",
        "jobset failed due to reaching max number of restarts (first failed job: {}-node-0)",
    ),
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with requests that match, ``times`` times.

    ``what`` is an HTTP status, or: ``drop`` (closed unread), ``lost`` (done, but the answer never
    arrives), ``slow`` (no answer in time), ``cut`` (the body ends early), ``html`` (a page),
    ``dribble`` (a byte now and then, for as long as the client listens), or the answer's body.
    """

    method: str
    path: str
    what: int | str | bytes
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Step:
    """What becomes of a job at one look: conditions, pods (None: as before), new log lines."""

    conditions: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""
    pods: tuple[dict[str, Any], ...] | None = None
    log: tuple[str, ...] = ()
    deleted: bool = False
    suspend: bool | None = None
    failed_replicas: tuple[str, ...] = ()  # as the training operator counts them


def pod(
    name: str, phase: str = "Running", *, role: str = "master", **status: Any
) -> dict[str, Any]:
    """A pod of the job whose script it is in; its uid is its name unless ``uid`` is given."""
    uid = status.pop("uid", name)
    labels = {
        "training.kubeflow.org/replica-type": role,
        "jobset.sigs.k8s.io/replicatedjob-name": "node",
        "batch.kubernetes.io/job-completion-index": "0" if role == "master" else "1",
    }
    meta = {"name": name, "uid": uid, "labels": labels, "creationTimestamp": EPOCH}
    return {"metadata": meta, "status": {"phase": phase, **status}}


def owned(made: dict[str, Any], workflow: str) -> dict[str, Any]:
    """A pod as Argo's pod of a step is: its controller is the workflow (``workflowpod.go:211``)."""
    reference = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": workflow}
    controls = {"uid": f"uid-of-{workflow}", "controller": True, "blockOwnerDeletion": True}
    made["metadata"]["ownerReferences"] = [{**reference, **controls}]
    return made


class KubeApi:
    """The server's state, and what tests set about it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}  # (plural, name)
        self.events: list[dict[str, Any]] = []
        self.logs: dict[str, list[str]] = {}  # by pod, lines with their times
        self.scripts: list[list[Step]] = []  # for the first job created, the second, ...
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        self.installed = {*_JOBS, "workflows"}
        self.linger = 1  # looks at a deleted job until it is gone
        self.url = ""
        self._lock = threading.RLock()
        self._count = 0
        self._running: dict[str, list[Step]] = {}  # by uid
        self._leaving: dict[str, int] = {}
        self._seconds = 0

    def count(self, method: str, path: str) -> int:
        """How many requests of a kind there were."""
        return sum(m == method and path in p for m, p, _ in self.requests)

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs there are."""
        return [o for (plural, _), o in self.objects.items() if plural in _JOBS]

    def pods_of(self, job: str) -> list[dict[str, Any]]:
        """The pods of a job."""
        pods = [o for (plural, _), o in self.objects.items() if plural == "pods"]
        return [pod for pod in pods if pod["metadata"]["labels"].get("daftt/job") == job]

    def add_job(self, plural: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Create a job as another client would."""
        status, made = self.create(plural, copy.deepcopy(manifest))
        assert status == 201
        return made

    def add_pod(self, made: dict[str, Any]) -> None:
        """Put a pod there."""
        self.objects["pods", made["metadata"]["name"]] = made

    def add_workload(self, uid: str, message: str) -> None:
        """Put there what Kueue 0.19 makes of a job that it has not admitted yet."""
        reason = "Inadmissible" if "doesn't exist" in message else "Pending"
        waits = {"type": "QuotaReserved", "status": "False", "reason": reason, "message": message}
        name, owner = f"workload-{uid}", {"kind": "PyTorchJob", "uid": uid}
        self.objects["workloads", name] = {
            "metadata": {"name": name, "ownerReferences": [owner]},
            "status": {"conditions": [waits]},
        }

    def add_workflow(self, name: str, phase: str) -> None:
        """Put a workflow there, as Argo's controller keeps it."""
        meta = {"name": name, "uid": f"uid-of-{name}", "creationTimestamp": EPOCH}
        self.objects["workflows", name] = {"metadata": meta, "status": {"phase": phase}}

    def warn(self, name: str, reason: str, message: str, **involved: str) -> None:
        """Add a warning event about an object."""
        about = {"involvedObject": {"name": name, **involved}, "lastTimestamp": EPOCH}
        self.events.append({"type": "Warning", "reason": reason, "message": message, **about})

    # what the handler calls

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for index, fault in enumerate(self.faults):
                if fault.method == method and fault.path in path:
                    left = fault.times - 1
                    self.faults[index : index + 1] = [replace(fault, times=left)] if left else []
                    return fault
        return None

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        with self._lock:
            self.requests.append((method, path, query))
            parts = path.strip("/").split("/")
            where = parts.index("namespaces") + 2
            plural, rest = parts[where], parts[where + 1 :]
            if parts[0] == "apis" and plural not in self.installed:
                return _status(404, "the server could not find the requested resource")
            if method == "POST":
                return self.create(plural, body)
            if not rest:
                return 200, {"kind": "List", "items": self._list(plural, query)}
            if method == "GET" and plural in self.installed:
                self._advance(plural, rest[0])
            found = self.objects.get((plural, rest[0]))
            if found is None:
                return _status(404, f'{plural} "{rest[0]}" not found')
            if rest[1:] == ["log"]:
                return 200, self._log(rest[0], query)
            if method == "PATCH":
                _merge(found, body)
                self._touch(found)
            elif method == "DELETE":
                return self._delete(plural, rest[0], found, body or {})
            return 200, found

    def create(self, plural: str, body: dict[str, Any]) -> tuple[int, Any]:
        key = (plural, body["metadata"]["name"])
        if key in self.objects:
            return _status(409, f'{plural} "{key[1]}" already exists')
        self._count += 1
        body["metadata"] |= {"uid": f"uid-{self._count}", "creationTimestamp": EPOCH}
        self._touch(body)
        self.objects[key] = body
        uid = body["metadata"]["uid"]
        self._running[uid] = list(self.scripts.pop(0)) if self.scripts else []
        return 201, body

    def _touch(self, found: dict[str, Any]) -> None:
        self._count += 1
        found["metadata"]["resourceVersion"] = str(self._count)

    def _list(self, plural: str, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        if plural == "events":
            selectors = [part.split("=") for part in query["fieldSelector"][0].split(",")]
            about = [(key.removeprefix("involvedObject."), value) for key, value in selectors]
            return [e for e in self.events if all(self._about(e, k) == v for k, v in about)]
        if plural == "pods":
            self._let_go()
        wanted = dict(
            part.split("=") for part in query.get("labelSelector", [""])[0].split(",") if part
        )
        return [
            each
            for (kind, _), each in self.objects.items()
            if kind == plural and wanted.items() <= (each["metadata"].get("labels") or {}).items()
        ]

    def _let_go(self) -> None:
        """Remove pods that are being deleted, after they were looked at a few times."""
        for (plural, name), each in list(self.objects.items()):
            if plural != "pods" or "deletionTimestamp" not in each["metadata"]:
                continue
            looks = self._leaving.get(each["metadata"]["uid"], self.linger + 2) - 1
            self._leaving[each["metadata"]["uid"]] = looks
            if looks <= 0:
                del self.objects[plural, name]

    def _about(self, event: dict[str, Any], key: str) -> str:
        """A field of the object that an event is about; if not told, of the present one."""
        about = event["involvedObject"]
        if key in about:
            return str(about[key])
        there = [o for (_, name), o in self.objects.items() if name == about["name"]]
        return str(there[0]["metadata"].get(key, "")) if there else ""

    def _advance(self, plural: str, name: str) -> None:
        job = self.objects.get((plural, name))
        if job is None:
            return
        uid = job["metadata"]["uid"]
        if uid in self._leaving:
            self._leaving[uid] -= 1
            if self._leaving[uid] <= 0:
                del self.objects[plural, name]
            return
        script = self._running.get(uid)
        if script:
            self._apply(plural, name, job, script.pop(0))

    def _apply(self, plural: str, name: str, job: dict[str, Any], step: Step) -> None:
        if step.deleted:
            del self.objects[plural, name]
            return
        if step.suspend is not None:
            spec = job["spec"]
            spec.get("runPolicy", spec)["suspend"] = step.suspend
        if step.conditions:
            job["status"] = {"conditions": _conditions(plural, name, step)}
            counts = {name: {"failed": 1} for name in step.failed_replicas}
            job["status"]["replicaStatuses"] = counts
            if "Running" in step.conditions:
                job["status"]["jobsStatus"] = [{"name": "node", "ready": 1}]
        if step.pods is not None:
            self._remove_pods(name)
            for each in step.pods:
                made = copy.deepcopy(each)
                made["metadata"]["labels"]["daftt/job"] = name
                self.add_pod(made)
        for line in step.log:
            self._seconds += 1
            minutes, seconds = divmod(self._seconds // 3, 60)  # three lines share a second
            stamp = f"2026-11-01T10:{minutes:02}:{seconds:02}.{self._seconds % 3:09}Z"
            self.logs.setdefault(self._first_pod(name), []).append(f"{stamp} {line}")
        self._touch(job)

    def _first_pod(self, job: str) -> str:
        return str(self.pods_of(job)[0]["metadata"]["name"])

    def _remove_pods(self, job: str) -> None:
        for each in self.pods_of(job):
            del self.objects["pods", each["metadata"]["name"]]

    def _delete(
        self, plural: str, name: str, found: dict[str, Any], body: dict[str, Any]
    ) -> tuple[int, Any]:
        wanted = (body.get("preconditions") or {}).get("uid")
        if wanted and wanted != found["metadata"]["uid"]:
            return _status(409, "the UID in the precondition does not match")
        for each in self.pods_of(name):
            each["metadata"].setdefault("deletionTimestamp", EPOCH)  # they go at later looks
        found["metadata"]["deletionTimestamp"] = EPOCH
        self._leaving.setdefault(found["metadata"]["uid"], self.linger)
        return 200, found

    def _log(self, name: str, query: dict[str, list[str]]) -> str:
        lines = self.logs.get(name, [])
        since = query.get("sinceTime", [""])[0]
        lines = [line for line in lines if line[:19] >= since[:19]]
        if "tailLines" in query:
            lines = lines[-int(query["tailLines"][0]) :]
        return "".join(f"{line}\n" for line in lines)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: KubeApi

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        fault = self.api.fault_for(self.command, parts.path)
        what = fault.what if fault else ""
        if what == "drop":
            self._hang_up()
        elif isinstance(what, int) and fault:
            status, answer = _status(what, fault.message or f"injected {what}")
            self._send(status, json.dumps(answer).encode(), fault.headers)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, answer = _status(401, "Unauthorized")
            self._send(status, json.dumps(answer).encode())
        else:
            status, answer = self.api.answer(self.command, parts.path, parse_qs(parts.query), body)
            text = answer if isinstance(answer, str) else json.dumps(answer)
            self._deliver(what, status, text.encode())

    do_GET = do_POST = do_DELETE = do_PATCH = _handle  # noqa: N815

    def _deliver(self, what: int | str | bytes, status: int, body: bytes) -> None:
        if what == "lost":
            self._hang_up()
        elif what == "cut":
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) * 2 // 3])
            self._hang_up()
        elif what == "html":
            self._send(200, b"<html>Sign in</html>")
        elif isinstance(what, bytes):
            self._send(200, what)
        elif what == "dribble":
            self.send_response(status)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            self.close_connection = True
        else:
            if what == "slow":
                time.sleep(1.0)
            self._send(status, body)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the client has given up waiting
            self.close_connection = True

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True


def _conditions(plural: str, name: str, step: Step) -> list[dict[str, Any]]:
    """The conditions as training operator 1.9.4 and Trainer 2.3.0 were seen to write them.

    The operator leaves Running behind, as False; the trainer has neither Created nor Running.
    """
    of_trainer = plural == "trainjobs"
    conditions = []
    for kind in step.conditions:
        if of_trainer and kind in ("Created", "Running"):
            continue
        reason, message = (_OF_TRAINER if of_trainer else _OF_OPERATOR)[kind]
        words = {"reason": step.reason or reason, "message": step.message or message.format(name)}
        conditions.append({"type": kind, "status": "True", **words})
    if not of_trainer and "Running" not in step.conditions:
        reason, message = _OF_OPERATOR["Running"]
        words = {"reason": reason, "message": message.format(name)}
        conditions.append({"type": "Running", "status": "False", **words})
    return [{**each, "lastTransitionTime": EPOCH} for each in conditions]


def _status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "status": "Failure", "code": code, "message": message}


def _merge(target: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if value is None:  # RFC 7396
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


@contextmanager
def kube_api(folder: Path, set_env: Callable[[str, str], None]) -> Iterator[KubeApi]:
    """A server, with KUBECONFIG leading to it.

    Args:
        folder: Where the kubeconfig goes.
        set_env: Sets an environment variable, such as pytest's ``monkeypatch.setenv``.
    """
    api = KubeApi()
    handler = type("Handler", (_Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    path = folder / "kubeconfig"
    context = {"cluster": "c", "user": "u", "namespace": NAMESPACE}
    path.write_text(
        json.dumps(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": context}],
                "clusters": [{"name": "c", "cluster": {"server": api.url}}],
                "users": [{"name": "u", "user": {"token": TOKEN}}],
            }
        )
    )
    set_env("KUBECONFIG", str(path))
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
