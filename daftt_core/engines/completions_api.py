"""An OpenAI-compatible completions server over HTTP: patience, refusals, and nothing else."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter

from daftt_core.engines.engine import PromptRefusedError, PromptTooLongError
from daftt_core.errors import ModelError, RemoteError, did_you_mean
from daftt_core.metering import count_tokens
from daftt_core.progress import log

__all__ = ["KEY_VARIABLE", "CompletionsApi"]

KEY_VARIABLE = "DAFTT_SERVER_API_KEY"

_PATIENCE_SECONDS = 300.0
_ANSWER_SECONDS = 600.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_jitter = random.Random()  # noqa: S311 - no secret; its own, as the global one is seeded for a run
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_FAULT = 500
_MOST_FAULTS = 5


class CompletionsApi:
    """Sends requests, and sends them again while the server is busy or cannot be reached.

    Pauses double from half a second to half a minute, each cut at random so that many waiting
    requests don't come back at once; a pause that the server asks for is kept. After five minutes
    without an answer it gives up. A server that fails at one request five times (500), while it
    answers others, is taken to fail because of what is asked.

    Args:
        url: The server's address, with or without ``/v1``.
        connections: Requests at the same time, at most.
        check: Called before each repeat; raises when waiting is in vain.
    """

    def __init__(
        self, url: str, connections: int, check: Callable[[], None] = lambda: None
    ) -> None:
        parts = urlsplit(url)
        path = parts.path.rstrip("/").removesuffix("/v1")
        self.root = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self._check = check
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))
        if key := os.environ.get(KEY_VARIABLE):
            self._session.headers["Authorization"] = f"Bearer {key}"
        self._answered = float("-inf")

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def is_healthy(self) -> bool:
        """Whether the server answers and has its model loaded."""
        try:
            return bool(self._session.get(f"{self.root}/v1/models", timeout=5).ok)
        except requests.RequestException:
            return False

    def choose_model(self, wanted: str) -> str:
        """The name of the model to ask for.

        Args:
            wanted: A name, or nothing for the only model.

        Raises:
            ModelError: The server does not have that model, or has several and none is named.
        """
        listed = self._ask("GET", "/v1/models", None).get("data") or []
        names = [str(model["id"]) for model in listed]
        if wanted in names or (wanted and not names):
            return wanted
        if not wanted and len(names) == 1:
            return names[0]
        found = ", ".join(names) or "none"
        raise ModelError(
            f"synthesis_server_model: {wanted!r} must be a model of the server at {self.root} "
            f"({found}){did_you_mean(wanted, names)}"
        )

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send JSON and read the JSON that comes back.

        Raises:
            PromptTooLongError: The prompt does not fit.
            PromptRefusedError: The server refuses this request, or fails at it.
            ModelError: The server has no such model or path.
            RemoteError: The server cannot be reached, or refuses the key.
        """
        found = self._ask("POST", path, body)
        self._answered = time.monotonic()
        return found

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        started, faults = time.monotonic(), 0
        give_up = started + _PATIENCE_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while True:
            trouble, wanted_pause = "", 0.0
            try:
                answer = self._session.request(
                    method, self.root + path, json=body, timeout=(10, _ANSWER_SECONDS)
                )
                if answer.status_code not in _BUSY:
                    return self._read(path, answer)
                trouble = f"it answers {answer.status_code}: {_message(answer)}"
                wanted_pause = _asked_pause(answer)
                faults += answer.status_code == _FAULT
                if faults >= _MOST_FAULTS and self._answered > started:
                    raise PromptRefusedError(
                        f"the model's server at {self.root} fails at a request while it answers "
                        f"others ({answer.status_code}: {_message(answer)})"
                    )
            except (requests.ConnectionError, requests.Timeout) as error:
                trouble = f"{type(error).__name__}: it does not answer"
            self._check()
            seconds = max(wanted_pause, _jitter.uniform(0, pause))
            if time.monotonic() + seconds > give_up:
                raise RemoteError(f"the model's server at {self.root} cannot be used: {trouble}")
            log.debug("%s: %s; asking again in %.1f s", self.root, trouble, seconds)
            time.sleep(seconds)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _read(self, path: str, answer: requests.Response) -> dict[str, Any]:
        where = f"the model's server at {self.root}"
        if answer.ok:
            try:
                found: dict[str, Any] = answer.json()
            except ValueError:
                raise RemoteError(f"{where} does not answer {path} with JSON") from None
            _count(found)
            return found
        said = _message(answer)
        if answer.status_code in (401, 403):
            raise RemoteError(
                f"{where} refuses the key ({answer.status_code}: {said}); set the environment "
                f"variable {KEY_VARIABLE}"
            )
        if answer.status_code == 404:
            raise ModelError(f"{where} has no such model or no {path} (404: {said})")
        if "context" in said.lower():
            raise PromptTooLongError(f"{where} finds a prompt too long: {said}")
        raise PromptRefusedError(f"{where} refuses a request ({answer.status_code}: {said})")


def _count(answer: dict[str, Any]) -> None:
    """Count the tokens that a server says it has read and written; not all say it."""
    used = answer.get("usage") if isinstance(answer, dict) else None
    if isinstance(used, dict):
        count_tokens(
            read=int(used.get("prompt_tokens") or 0),
            written=int(used.get("completion_tokens") or 0),
        )


def _message(answer: requests.Response) -> str:
    """What the server says about its refusal, in one line."""
    try:
        found = answer.json()
    except ValueError:
        return " ".join(answer.text.split())[:200] or str(answer.reason)
    error = found.get("error", found) if isinstance(found, dict) else found
    said = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(said).split())[:300]


def _asked_pause(answer: requests.Response) -> float:
    """The pause in seconds that a busy server asks for, at most the longest."""
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE_SECONDS) if asked.isdecimal() else 0.0
