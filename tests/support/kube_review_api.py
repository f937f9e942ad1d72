"""A server that answers the questions of ``daftt doctor --cluster`` as a Kubernetes API would."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["KubeServer", "kube_server"]


@dataclass
class KubeServer:
    """What the cluster has.

    Attributes:
        url: Its address.
        objects: Answers to GET, by path; everything else is 404.
        denied: Verb and resource (with ``/subresource``) that are not allowed.
        forbidden: Paths that are answered with 403.
        users: Whom each review was made for; empty for the caller.
        status: Answers every request with it, if not 0.
    """

    url: str = ""
    objects: dict[str, Any] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    users: list[str] = field(default_factory=list)
    status: int = 0


@contextmanager
def kube_server() -> Iterator[KubeServer]:
    """A running server on a free port."""
    state = KubeServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if state.status or self.path in state.forbidden:
                self._send(state.status or 403, {"kind": "Status", "code": state.status or 403})
            elif self.path in state.objects:
                self._send(200, state.objects[self.path])
            else:
                self._send(404, {"kind": "Status", "code": 404})

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = review["spec"]["resourceAttributes"]
            what = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
            state.users.append(self.headers.get("Impersonate-User", ""))
            if self.path in state.forbidden:
                self._send(403, {"kind": "Status", "code": 403})
                return
            review["status"] = {"allowed": (asked["verb"], what) not in state.denied}
            self._send(201, review)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _send(self, status: int, answer: Any) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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
