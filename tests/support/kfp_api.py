"""A server that speaks the part of the Kubeflow Pipelines v2beta1 API that DAFTT uses.

It keeps pipelines, versions, experiments, runs and recurring runs in memory, filters lists by the
predicates that clients send, and can be told to refuse.
"""

from __future__ import annotations

import copy
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["KfpServer", "kfp_server"]

TOKEN = "a-secret-token"
COOKIE = "authservice_session=a-secret-session"
CREATED = "2026-01-02T03:04:05Z"


@dataclass
class KfpServer:
    """The server's state, and what it was asked.

    Attributes:
        url: Its address.
        requests: Method, path and body of each request.
        refusals: Status to answer with, by how ``"METHOD path "`` begins.
        logs: Text by pod.
    """

    url: str = ""
    multi_user: bool = False
    needs_token: bool = False
    needs_cookie: bool = False
    page: str = ""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {
            name: [] for name in ("pipelines", "versions", "experiments", "runs", "recurringruns")
        }
    )

    @property
    def writes(self) -> list[str]:
        """Method and path of each request that would change something."""
        return [f"{method} {path}" for method, path, _ in self.requests if method != "GET"]

    def body_of(self, write: str) -> Any:
        """The body of the last request ``write``."""
        return [body for method, path, body in self.requests if f"{method} {path}" == write][-1]


@contextmanager
def kfp_server() -> Iterator[KfpServer]:
    """A running server on a free port."""
    state = KfpServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(state: KfpServer) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one class, in full
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_DELETE(self) -> None:
            self._answer("DELETE")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self, method: str) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self._body()
            path = parts.path.removeprefix("/apis/v2beta1")
            state.requests.append((method, path, body))
            status, answer = self._decide(method, path, query, body)
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            kind = "text/plain" if isinstance(answer, str) else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _decide(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
            sent = self.headers.get("authorization", "")
            for prefix, status in state.refusals.items():
                if f"{method} {path} ".startswith(prefix):
                    return status, {"message": f"refused, you sent {sent}", "code": status}
            if state.needs_token and sent != f"Bearer {TOKEN}":
                return 401, {"message": f"Unauthorized: {sent}"}
            if state.page or (state.needs_cookie and self.headers.get("Cookie") != COOKIE):
                return 200, state.page or "<html>Log in</html>"
            return _respond(state, method, path, query, body)

        def _body(self) -> Any:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.headers.get("Content-Type", "")
            if kind.startswith("multipart/"):
                whole = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + data)
                return whole.get_payload()[0].get_payload(decode=True).decode()
            return json.loads(data) if data else None

    return Handler


def _respond(state: KfpServer, method: str, path: str, query: dict[str, str], body: Any) -> Any:
    tables = state.tables
    if path == "/healthz":
        return 200, {"multi_user": state.multi_user, "pipeline_store": "database"}
    if found := re.fullmatch(r"/apis/v1alpha1/runs/[^/]+/nodes/([^/]+)/log", path):
        text = state.logs.get(found[1])
        return (200, text) if text is not None else (404, {"message": "pod not found"})
    if path == "/pipelines/upload_version":
        version = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": str(uuid.uuid4()),
            "display_name": query["name"],
            "description": query.get("description", ""),
        }
        tables["versions"].append(version)
        return 200, version
    if found := re.fullmatch(r"/pipelines/([^/]+)/versions", path):
        mine = [each for each in tables["versions"] if each["pipeline_id"] == found[1]]
        return 200, {"pipeline_versions": _filtered(mine, query)}
    if found := re.fullmatch(r"/(pipelines|experiments|runs|recurringruns)", path):
        return _collection(tables[found[1]], found[1], method, query, body)
    if found := re.fullmatch(r"/(runs|recurringruns)/([^/:]+)(:\w+)?", path):
        return _one(state, found[1], found[2], method, found[3])
    return 404, {"message": f"no {method} {path}"}


_NAMES = {
    "pipelines": ("pipeline_id", "pipelines"),
    "experiments": ("experiment_id", "experiments"),
    "runs": ("run_id", "runs"),
    "recurringruns": ("recurring_run_id", "recurringRuns"),
}


def _collection(
    table: list[dict[str, Any]], name: str, method: str, query: dict[str, str], body: Any
) -> Any:
    key, plural = _NAMES[name]
    if method == "GET":
        experiment = query.get("experiment_id")
        mine = [each for each in table if not experiment or each["experiment_id"] == experiment]
        return 200, {plural: _filtered(mine, query)}
    made = {key: str(uuid.uuid4()), "created_at": CREATED, **body}
    if name == "runs":
        made["state"] = "PENDING"
    if name == "recurringruns":
        made["max_concurrency"] = str(made["max_concurrency"])  # an int64 is text in JSON
    table.insert(0, made)
    return 200, made


def _one(state: KfpServer, name: str, which: str, method: str, action: str | None) -> Any:
    table, key = state.tables[name], _NAMES[name][0]
    found = next((each for each in table if each[key] == which), None)
    if found is None:
        return 404, {"message": f"{which} not found"}
    if method == "DELETE":
        table.remove(found)
        if name == "recurringruns":  # it owns its workflows, seen with 2.17.0: they go with it,
            for run in state.tables["runs"]:  # and their runs are shown as running for ever
                run["workflow_deleted"] = run.get("recurring_run_id") == which
        return 200, {}
    if action == ":terminate":
        _enter(found, "CANCELING")
        return 200, {}
    if action in (":disable", ":enable"):
        found["mode"] = action[1:].upper()
        return 200, {}
    if name == "runs" and found["state"] == "CANCELING":
        answer = copy.deepcopy(found)
        _enter(found, "FAILED")  # as 2.17.0 takes it from the workflow, once that has ended
        return 200, answer
    return 200, found


def _enter(run: dict[str, Any], state: str) -> None:
    run["state"] = state
    run.setdefault("state_history", []).append({"update_time": CREATED, "state": state})


def _filtered(entries: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    predicates = json.loads(query.get("filter") or "{}").get("predicates", [])
    for predicate in predicates:
        key, value = predicate["key"], predicate["stringValue"]
        entries = [each for each in entries if each.get(key) == value]
    return entries
