"""A completions server for tests that answers as vLLM does and stumbles when told to."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["CompletionsServer", "group_members", "log_prob"]


def log_prob(token: str) -> float:
    """What the model thinks of a word, wherever it stands."""
    return -1.0 - zlib.crc32(token.encode(errors="replace")) % 7


class CompletionsServer:
    """Its model knows words by themselves, and always goes on with `` fine`` unless told otherwise.

    Attributes:
        url: Its address.
        faults: Answers to give before the next good ones: a status, or 0 to hang up.
        refused: The status of every answer to a prompt that holds one of these words.
        says: What it goes on with.
        context: Characters that fit.
        echoes: Whether it can echo.
        key: The key it wants, if any.
        bodies: What was asked of ``/v1/completions``.
        busiest: The most requests it had at the same time.
    """

    def __init__(self) -> None:
        self.url = ""
        self.faults: list[int] = []
        self.refused: dict[str, int] = {}
        self.says = " fine"
        self.context = 4000
        self.echoes = True
        self.key = ""
        self.bodies: list[dict[str, Any]] = []
        self.busiest = 0
        self._busy = 0
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[CompletionsServer]:
        """Serve for as long as the block lasts."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(200, {"data": [{"id": "base"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with owner._lock:
                    owner._busy += 1
                    owner.busiest = max(owner.busiest, owner._busy)
                    fault = owner.faults.pop(0) if owner.faults else None
                try:
                    if fault == 0:
                        self.close_connection = True
                        return
                    wanted = f"Bearer {owner.key}" if owner.key else None
                    if wanted and self.headers.get("Authorization") != wanted:
                        self._send(401, {"error": {"message": "no such key"}})
                    elif fault:
                        self._send(fault, {"error": {"message": "not now"}})
                    elif self.path != "/v1/completions" or body["model"] != "base":
                        self._send(404, {"error": {"message": "not found"}})
                    else:
                        self._send(*owner.complete(body))
                finally:
                    with owner._lock:
                        owner._busy -= 1

            def _send(self, status: int, answer: dict[str, Any]) -> None:
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and answer to one request."""
        self.bodies.append(body)
        prompt = body["prompt"]
        if len(prompt) > self.context:
            return 400, {"error": {"message": "longer than the maximum context length"}}
        for words, status in self.refused.items():
            if words in prompt:
                return status, {"error": {"message": "this prompt is not to my liking"}}
        echoed = re.findall(r"\s?\w+|\W", prompt) if body.get("echo") and self.echoes else []
        tokens = [*echoed, self.says]
        known = [log_prob(token) for token in tokens]
        choice = {
            "text": "".join(tokens),
            "finish_reason": "stop" if body["max_tokens"] > 1 else "length",
            "logprobs": {
                "tokens": tokens,
                "token_logprobs": [None, *known[1:]] if echoed else known,
            },
        }
        return 200, {"choices": [choice], "usage": {"completion_tokens": 1}}


def group_members(group: int) -> list[Path]:
    """The processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            found += [stat.parent] if its_group == str(group) and state != "Z" else []
    return found
