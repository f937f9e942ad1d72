"""Requests of the client library of Google Cloud Storage: sending, retrying, explaining errors.

The library assumes that an answer is a JSON object, and an error of the documented form. Where they
are not, its own error says nothing and is not retried, so answers are checked before it sees them.
"""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import requests
import urllib3
from requests import PreparedRequest, RequestException, Response
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, InvalidJSONError

from daftt_core.network import DeadlineAdapter, TransientError, pause_asked_for
from daftt_core.storage.copying import ObjectPatience

_MOST_BYTES = 2**31
_TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
_TRANSIENT_ERRORS = (
    ConnectionError,
    TimeoutError,
    http.client.HTTPException,
    requests.ConnectionError,
    requests.Timeout,
    ChunkedEncodingError,
    ContentDecodingError,
    InvalidJSONError,
    urllib3.exceptions.HTTPError,
)
_ATTEMPTS = 5  # at content that arrives damaged; transient failures are retried for longer
_LONGEST_PAUSE_SECONDS = 5.0  # before damaged content is copied again

T = TypeVar("T")


class GcsAdapter(DeadlineAdapter):
    """An adapter for the sessions of the client library.

    Args:
        seconds: Deadline of a whole request, the answer's body included.
        connections: Connections to a server that are kept open.
    """

    def __init__(self, seconds: float, connections: int) -> None:
        super().__init__(seconds, most_bytes=_MOST_BYTES, connections=connections)

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Send a request.

        Raises:
            RequestException: It failed; ``InvalidJSONError``: the answer should be a JSON object.
        """
        answer = super().send(request, *args, **options)
        is_content = answer.ok and "alt=media" in str(request.url)
        if is_content or not answer.content:
            return answer
        document = _json(answer.content)
        if answer.ok and not isinstance(document, dict):
            raise InvalidJSONError("an answer that is not a JSON object", response=answer)
        if not answer.ok and document is not None:
            answer._content = json.dumps({"error": {"message": _message(document)}}).encode()
        return answer


def _json(body: bytes) -> Any:
    """Return the value of a JSON text; False where it is nested too deeply, None if not JSON."""
    try:
        return json.loads(body)
    except RecursionError:
        return False
    except ValueError:
        return None


def _message(document: Any) -> str:
    """Return the server's message about an error; empty where it is not in the documented place."""
    error = document.get("error") if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""


class DamagedError(Exception):
    """The content that arrived is not the content that was sent."""


class _ArrivedDamagedError(TransientError):
    """An attempt whose content arrived damaged; the cause says how."""


@dataclass(frozen=True)
class Patience(ObjectPatience):
    """How long to keep trying, and at which errors."""

    def retry(self, request: Callable[[], T]) -> Callable[[], T]:
        """Return a request that is repeated; the client library takes this as its ``retry``."""

        def attempt(_seconds: float) -> T:
            try:
                return request()
            except Exception as error:
                if not _is_transient(error):
                    raise
                message = f"Google Cloud Storage: {error}"
                raise TransientError(message, _requested_pause(error)) from error

        return lambda: self.call(attempt)

    def until_whole(self, copy: Callable[[], T]) -> T:
        """Copy content, and copy it again while it arrives damaged.

        Args:
            copy: Copies it once. When the last attempt fails, its error is raised.
        """
        damage: list[Exception] = []

        def attempt(_seconds: float) -> T:
            try:
                return copy()
            except Exception as error:
                if not is_damage(error):
                    raise
                damage.append(error)
                raise _ArrivedDamagedError(f"Google Cloud Storage: {error}") from error

        retry = replace(
            self,
            deadline_seconds=math.inf,
            longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
            attempts=_ATTEMPTS,
        )
        try:
            return retry.call(attempt, on=_ArrivedDamagedError)
        except _ArrivedDamagedError:
            raise damage[-1] from damage[-1].__cause__


def is_damage(error: BaseException | None) -> bool:
    """Return whether content arrived other than it was sent, by the error or its cause."""
    from google.cloud.storage.exceptions import DataCorruption

    damage = DamagedError | DataCorruption
    return isinstance(error, damage) or isinstance(getattr(error, "__cause__", None), damage)


def _is_transient(error: BaseException) -> bool:
    from google.auth.exceptions import TransportError  # of the server that gives out tokens

    is_known = isinstance(error, (TransportError, *_TRANSIENT_ERRORS))
    return is_known or status_of(error) in _TRANSIENT_STATUSES


def _requested_pause(error: Exception) -> float:
    """Return the pause in seconds that an answer requests."""
    response = getattr(error, "response", None)
    if response is None:
        return 0.0
    with suppress(RequestException, OSError):
        response.content  # noqa: B018 - an answer that is not read keeps its connection open
    return pause_asked_for(response.headers.get("Retry-After"))


def known_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that the client library raises for failures that are not our fault."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    return (
        GoogleAPICallError,
        TransientError,
        GoogleAuthError,
        InvalidResponse,
        DataCorruption,
        RequestException,
        ConnectionError,
        TimeoutError,
    )


def status_of(error: BaseException) -> int:
    """Return the HTTP status of an error; 0 where it has none."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud.storage.exceptions import InvalidResponse

    if isinstance(error, GoogleAPICallError):
        return int(error.code or 0)
    return int(error.response.status_code) if isinstance(error, InvalidResponse) else 0


def sentence(uri: str, error: BaseException) -> str:
    """Return what happened to an object, in words, with what to do where that is known."""
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption

    if isinstance(error, TransientError):
        reason = _reason(error.__cause__ or error)
        return f"{uri}: still fails after many attempts ({reason}); try again later"
    bucket = "/".join(uri.split("/")[:3])
    if type(error) is DefaultCredentialsError:  # its subclasses mean something else
        return (
            f"{bucket}: there are no Google Cloud credentials here; in a cluster, bind the pod's "
            "service account by workload identity, elsewhere run: "
            "gcloud auth application-default login"
        )
    if isinstance(error, GoogleAuthError):
        return f"{bucket}: the Google Cloud credentials found here were refused ({error})"
    if isinstance(error, DataCorruption):
        return f"{uri}: does not have the checksum (crc32c) that the server gives for it"
    status = status_of(error)
    if status == 404:
        return f"{uri}: there is no such object"
    if status == 401:
        return f"{bucket}: the Google Cloud credentials found here were refused ({_reason(error)})"
    if status == 403:
        return f"{uri}: permission was denied ({_reason(error)})"
    return f"{uri}: {_reason(error)}"


def _reason(error: BaseException) -> str:
    status = status_of(error)
    text = _server_message(error) or getattr(error, "message", "") or str(error)
    words = " ".join(text.split()) or type(error).__name__
    return f"HTTP {status}: {words[:200]}" if status else f"{type(error).__name__}: {words[:200]}"


def _server_message(error: BaseException) -> str:
    try:
        return str(error.response.json()["error"]["message"])  # type: ignore[attr-defined]
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):  # there is none
        return ""
