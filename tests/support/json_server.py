"""A server that answers every request with JSON, for the fakes of REST interfaces."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Request", "json_server"]


@dataclass(frozen=True)
class Request:
    """A request: its method, its path and query apart, its headers and its body."""

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON of the body; an empty object where there is none."""
        return json.loads(self.body or b"{}")


@contextmanager
def json_server(answer: Callable[[Request], tuple[int, Any]]) -> Iterator[str]:
    """Serve on a free port of this machine; the server's address.

    Args:
        answer: Gives the status and the document of an answer; called in threads.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def _handle(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = dict(parse_qsl(url.query))
            status, document = answer(Request(self.command, url.path, query, self.headers, body))
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = _handle  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
