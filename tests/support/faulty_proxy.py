"""An HTTP proxy that stands before a server and does to it what networks do.

A test gives a *plan*: a function that sees each request and names what befalls it. It runs before
the request is forwarded (``Answer``, ``RESET``) or while the answer goes back (``RESET_IN_BODY``,
``TRUNCATED``, ``DAMAGED``, ``WRONG_CHECKSUM``, ``LOST``, ``DRIBBLING``, ``Slow``, ``Instead``).
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """A request as a plan sees it."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body_start: bytes

    @property
    def is_media(self) -> bool:
        """Whether it downloads an object's content."""
        return self.method == "GET" and "alt=media" in self.path


@dataclass(frozen=True)
class Answer:
    """An error in place of the server's answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "a fault of the tests"


@dataclass(frozen=True)
class Slow:
    """The answer comes late."""

    seconds: float


@dataclass(frozen=True)
class Instead:
    """The server does it, and the answer is this one."""

    body: bytes
    status: int = 200


RESET = "reset before the request is answered"
RESET_IN_BODY = "reset in the middle of the answer's body"
TRUNCATED = "the answer ends early"
DAMAGED = "a byte of the answer's body is another one"
WRONG_CHECKSUM = "the answer's crc32c is another one"
LOST = "the server does it, and the answer is lost"
DRIBBLING = "a byte of the answer's body comes now and then, without end"

Fault = Answer | Slow | Instead | str | None
Plan = Callable[[Request], Fault]
_NOT_FORWARDED = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class FaultyProxy:
    """The proxy as a test handles it.

    Attributes:
        url: Where clients find it.
        plan: Decides what befalls each request; may be exchanged at any time.
        requests: Every request so far.
        faults: Every fault done so far.
    """

    def __init__(self) -> None:
        self.plan: Plan = lambda request: None
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.upstream = ""
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def next_fault(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Fault:
        with self._lock:
            request = Request(len(self.requests), method, path, headers, body[:1000])
            self.requests.append(request)
            fault = self.plan(request)
            if fault is not None:
                self.faults.append(fault)
            return fault

    def forget(self) -> None:
        """Begin anew, without faults."""
        with self._lock:
            self.plan = lambda request: None
            self.requests.clear()
            self.faults.clear()

    @contextmanager
    def running(self) -> Iterator[FaultyProxy]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: FaultyProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was cut on purpose is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream = urlsplit(self.server.proxy.upstream)
        self._upstream = http.client.HTTPConnection(str(upstream.hostname), upstream.port)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        body = self._body()
        fault = self.server.proxy.next_fault(self.command, self.path, dict(self.headers), body)
        if isinstance(fault, Slow):
            time.sleep(fault.seconds)
        if fault == RESET:
            return self._reset()
        if isinstance(fault, Answer):
            return self._refuse(fault)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_FORWARDED}
        self._upstream.request(self.command, self.path, body, headers)
        response = self._upstream.getresponse()
        data = response.read()
        if fault == LOST:
            return self._reset()
        return self._answer(response, data, fault)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _refuse(self, answer: Answer) -> None:
        error = {"error": {"code": answer.status, "message": answer.message}}
        body = json.dumps(error).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, response: http.client.HTTPResponse, data: bytes, fault: Fault) -> None:
        if isinstance(fault, Instead):
            data = fault.body
        status = fault.status if isinstance(fault, Instead) else response.status
        self.send_response(status)
        for name, value in response.getheaders():
            if name.lower() in _NOT_FORWARDED:
                continue
            if fault == WRONG_CHECKSUM and name.lower() == "x-goog-hash":
                value = "crc32c=AAAAAA=="
            self.send_header(name, value)
        if self.command == "HEAD":
            self.send_header("Content-Length", response.getheader("Content-Length", "0"))
            self.end_headers()
            return
        if status not in (204, 304):
            length = 10**6 if fault == DRIBBLING else len(data)
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self._write_body(data, fault)

    def _write_body(self, data: bytes, fault: Fault) -> None:
        while fault == DRIBBLING:
            self.wfile.write(b" ")
            time.sleep(0.05)
        if fault == DAMAGED and data:
            data = bytes([data[0] ^ 255]) + data[1:]
        if fault not in (RESET_IN_BODY, TRUNCATED):
            self.wfile.write(data)
            return
        self.wfile.write(data[: len(data) // 2])
        if fault == RESET_IN_BODY:
            self._reset()
            return
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
