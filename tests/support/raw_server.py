"""A server for tests that sends bytes as they are, at once or one by one without end."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["RawServer", "http_answer", "running"]


def http_answer(
    body: bytes, *, status: str = "200 OK", head: str = "", length: int | None = None
) -> bytes:
    """The bytes of an answer.

    Args:
        body: Its body.
        status: Its status with the reason.
        head: Further header lines, each with its line break.
        length: The length that it states; None: that of the body.
    """
    stated = len(body) if length is None else length
    start = f"HTTP/1.1 {status}\r\nConnection: close\r\n{head}Content-Length: {stated}\r\n\r\n"
    return start.encode("latin-1") + body


class RawServer:
    """What a test sets, and what it was asked.

    Attributes:
        url: Its address.
        answers: What it sends to the next requests; the last of them to all that follow.
        dribbles: Whether the answer is followed by a byte now and then, until the server ends.
        requests: What it was sent.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers = [http_answer(b"{}")]
        self.dribbles = False
        self.requests: list[bytes] = []
        self._over = threading.Event()

    def answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            head, _, body = request.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            while length and len(body) < int(length[1]):
                body += connection.recv(65536)
            self.requests.append(head + b"\r\n\r\n" + body)
            left = self.answers
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])
            while self.dribbles and not self._over.wait(0.05):
                connection.sendall(b"x")

    def end(self) -> None:
        self._over.set()


@contextmanager
def running() -> Iterator[RawServer]:
    """Serve for as long as the block lasts."""
    server = RawServer()
    listening = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=server.answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.end()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        listening.close()
        thread.join()
