"""An OpenAI-compatible completions server over HTTP: requests, retries and refusals."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests

from daftt_core.engines.engine import PromptRefusedError, PromptTooLongError
from daftt_core.engines.server_answers import (
    Models,
    ServerAnswer,
    UnusableAnswerError,
    read_answer,
    read_json,
)
from daftt_core.errors import ConfigError, ModelError, RemoteError, did_you_mean
from daftt_core.network import (
    DeadlineAdapter,
    MetadataServiceError,
    Retry,
    TransientError,
    guard,
    pause_asked_for,
)
from daftt_core.telemetry import count_tokens

KEY_VARIABLE = "DAFTT_SERVER_API_KEY"

_RETRY = Retry(deadline_seconds=600.0, first_pause_seconds=0.5, longest_pause_seconds=30.0)
_CONNECT_SECONDS = 10.0
_HEALTH_SECONDS = 5.0
_MOST_BYTES = 64 * 2**20
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_FAULT = 500
_MOST_FAULTS = 5

A = TypeVar("A", bound=ServerAnswer)


class _FaultError(TransientError):
    """The server's answer shows that it failed at this very request.

    Args:
        message: What is wrong.
        unusable: Whether the server reported success all the same.
    """

    def __init__(self, message: str, pause_seconds: float = 0.0, *, unusable: bool = False) -> None:
        super().__init__(message, pause_seconds)
        self.unusable = unusable


class CompletionsApi:
    """Sends requests, and repeats them while the server is busy or cannot be reached.

    A call fails ten minutes after it began, whatever the server does in between: attempts, pauses,
    and answers that come byte by byte share that one deadline. Pauses double from half a second to
    half a minute, each cut at random so that many waiting requests don't come back at once; a pause
    of up to two minutes that the server requests is kept. A server that fails at one request five
    times (500, or an answer that is cut off or of another form), while it answers others, is taken
    to fail because of its content. Five unusable answers, while none is usable, are an error. No
    redirect is followed: requests go to this address alone.

    Args:
        url: The server's address, with or without ``/v1``.
        connections: Greatest number of requests at the same time.
        check: Called before each repeat; raises when waiting is in vain.

    Raises:
        ConfigError: The environment's key cannot be sent.
    """

    def __init__(
        self, url: str, connections: int, check: Callable[[], None] = lambda: None
    ) -> None:
        parts = urlsplit(url)
        path = parts.path.rstrip("/").removesuffix("/v1")
        self.root = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self._server = f"the model's server at {self.root}"
        self._check = check
        self._session = requests.Session()
        guard(self._session, DeadlineAdapter(most_bytes=_MOST_BYTES, connections=connections))
        if key := _key():
            self._session.headers["Authorization"] = f"Bearer {key}"
        self._answered = float("-inf")

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def is_healthy(self) -> bool:
        """Return whether the server answers and has its model loaded."""
        try:
            return bool(self._send("GET", "/v1/models", None, _HEALTH_SECONDS).status_code == 200)
        except (requests.RequestException, UnusableAnswerError):
            return False

    def choose_model(self, name: str) -> str:
        """Return the model to use, given the configured name, which is empty for the only model.

        Raises:
            ModelError: The server does not have that model, or has several and none is named.
            RemoteError: The server cannot be used.
        """
        names = [model.id for model in self._call("GET", "/v1/models", None, Models).data or ()]
        if name in names or (name and not names):
            return name
        if not name and len(names) == 1:
            return names[0]
        raise ModelError(
            f"synthesis_server_model: {name!r} must be a model of the server at {self.root} "
            f"({', '.join(names) or 'none'}){did_you_mean(name, names)}"
        )

    def post(self, path: str, body: dict[str, Any], model: type[A]) -> A:
        """Send JSON to a path below the root, and validate the JSON that comes back.

        Raises:
            PromptTooLongError: The prompt does not fit.
            PromptRefusedError: The server refuses this request, or fails at it.
            ModelError: The server has no such model or path.
            RemoteError: The server cannot be used, or refuses the key.
        """
        answer = self._call("POST", path, body, model)
        self._answered = time.monotonic()
        return answer

    def _call(self, method: str, path: str, body: dict[str, Any] | None, model: type[A]) -> A:
        started, faults = time.monotonic(), 0

        def attempt(seconds_left: float) -> A:
            nonlocal faults
            try:
                return self._attempt(method, path, body, model, seconds_left)
            except TransientError as error:
                fault = error if isinstance(error, _FaultError) else None
                faults += fault is not None
                if faults >= _MOST_FAULTS and self._answered > started:
                    raise PromptRefusedError(
                        f"{self._server} fails at a request while it answers others ({error})"
                    ) from None
                self._check()
                if fault and fault.unusable and faults >= _MOST_FAULTS:
                    raise self._unusable(error) from None
                raise

        try:
            return _RETRY.call(attempt)
        except TransientError as error:
            raise self._unusable(error) from None

    def _attempt(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        model: type[A],
        seconds_left: float,
    ) -> A:
        try:
            answer = self._send(method, path, body, seconds_left)
            if answer.status_code not in _BUSY:
                return self._read(path, answer, model)
        except requests.ReadTimeout:
            raise TransientError(
                f"it has not answered in full after {_RETRY.deadline_seconds:.0f} seconds"
            ) from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise TransientError(f"{type(error).__name__}: it does not answer") from None
        except UnusableAnswerError as error:
            raise _FaultError(str(error), unusable=True) from None
        raise (_FaultError if answer.status_code == _FAULT else TransientError)(
            f"it answers {answer.status_code}: {_message(answer)}",
            pause_asked_for(answer.headers.get("Retry-After")),
        )

    def _unusable(self, error: Exception) -> RemoteError:
        return RemoteError(f"{self._server} cannot be used: {error}")

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None, seconds: float
    ) -> requests.Response:
        """Send once; the whole answer may take ``seconds``."""
        timeout = (_CONNECT_SECONDS, seconds)
        try:
            return self._session.request(method, self.root + path, json=body, timeout=timeout)
        except MetadataServiceError as error:
            raise RemoteError(f"{self._server} {error}") from None
        except (requests.ConnectionError, requests.Timeout):
            raise
        except requests.exceptions.ChunkedEncodingError:
            raise UnusableAnswerError(f"its answer to {path} is cut off") from None
        except requests.exceptions.ContentDecodingError:
            raise UnusableAnswerError(f"its answer to {path} is encoded wrongly") from None
        except requests.RequestException as error:
            raise self._unusable(error) from None

    def _read(self, path: str, answer: requests.Response, model: type[A]) -> A:
        status = answer.status_code
        if status < 300:
            try:
                content = read_answer(answer.content, model)
            except UnusableAnswerError as error:
                raise UnusableAnswerError(
                    f"its answer to {path} is not of the expected form ({error})"
                ) from None
            if usage := content.usage:
                count_tokens(read=usage.prompt_tokens or 0, written=usage.completion_tokens or 0)
            return content
        if status < 400:
            raise RemoteError(
                f"{self._server} redirects elsewhere ({status}), which is not followed; set "
                "synthesis_server_url to the address of the server itself"
            )
        message = _message(answer)
        if status in (401, 403):
            raise RemoteError(
                f"{self._server} refuses the key ({status}: {message}); set the environment "
                f"variable {KEY_VARIABLE}"
            )
        if status == 404:
            raise ModelError(f"{self._server} has no such model or no {path} (404: {message})")
        if "context" in message.lower():
            raise PromptTooLongError(f"{self._server} finds a prompt too long: {message}")
        raise PromptRefusedError(f"{self._server} refuses a request ({status}: {message})")


def _key() -> str:
    """Return the server's key; empty where the environment has none."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"the environment variable {KEY_VARIABLE} must be one line of ASCII characters"
        )
    return key


def _message(answer: requests.Response) -> str:
    """Return the server's reason for a refusal, in one line."""
    try:
        content = read_json(answer.content)
    except UnusableAnswerError:
        text = answer.content[:2000].decode("utf-8", "replace")
        return " ".join(text.split())[:200] or str(answer.reason)
    error = content.get("error", content) if isinstance(content, dict) else content
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:300]
