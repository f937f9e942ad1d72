"""What can go wrong with Google Cloud Storage: what passes by itself, and words for the rest."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from daftt_core.network import Retry, TransientError, pause_asked_for

_TRANSIENT = {408, 429, 500, 502, 503, 504}
_ATTEMPTS = 5  # at content that arrives damaged; what passes by itself is tried for longer
_LONGEST_PAUSE_SECONDS = 5.0  # before damaged content is copied again

T = TypeVar("T")


class DamagedError(Exception):
    """The content that arrived is not the content that was sent."""


class _ArrivedDamagedError(TransientError):
    """An attempt whose content arrived damaged; the cause says what was found."""


@dataclass(frozen=True)
class Patience:
    """How long to keep trying.

    Attributes:
        first_pause_seconds: Bound of the first random pause; each further one is twice as long.
        longest_pause_seconds: Bound of every pause.
        deadline_seconds: After this long an object is given up; no single request takes longer.
        request_seconds: How long one request may be silent.
    """

    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    deadline_seconds: float = 600.0
    request_seconds: float = 60.0

    def retry(self, request: Callable[[], T]) -> Callable[[], T]:
        """Return a request that is repeated; the client library takes this as its ``retry``."""
        retry = Retry(self.deadline_seconds, self.first_pause_seconds, self.longest_pause_seconds)

        def attempt(_seconds: float) -> T:
            try:
                return request()
            except Exception as error:
                if not _is_transient(error):
                    raise
                message = f"Google Cloud Storage: {error}"
                raise TransientError(message, _pause_asked_for(error)) from error

        return lambda: retry.call(attempt)

    def until_whole(self, copy: Callable[[], T]) -> T:
        """Copy content, and copy it again while it arrives damaged.

        Args:
            copy: Copies it once. When the last attempt fails, its error is raised.
        """
        retry = Retry(
            first_pause_seconds=self.first_pause_seconds,
            longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
            attempts=_ATTEMPTS,
        )
        damage: list[Exception] = []

        def attempt(_seconds: float) -> T:
            try:
                return copy()
            except Exception as error:
                if not is_damage(error):
                    raise
                damage.append(error)
                raise _ArrivedDamagedError(f"Google Cloud Storage: {error}") from error

        try:
            return retry.call(attempt, on=_ArrivedDamagedError)
        except _ArrivedDamagedError:
            raise damage[-1] from damage[-1].__cause__


def is_damage(error: BaseException | None) -> bool:
    """Tell whether content arrived other than it was sent, as the error or its cause says."""
    from google.cloud.storage.exceptions import DataCorruption

    damage = DamagedError | DataCorruption
    return isinstance(error, damage) or isinstance(getattr(error, "__cause__", None), damage)


def _is_transient(error: BaseException) -> bool:
    import requests
    import urllib3
    from google.auth.exceptions import TransportError

    if isinstance(error, TransportError):  # the metadata server that gives out tokens
        return True
    transient = (
        ConnectionError,
        TimeoutError,
        http.client.HTTPException,
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
        requests.exceptions.InvalidJSONError,
        urllib3.exceptions.HTTPError,
    )
    return isinstance(error, transient) or status_of(error) in _TRANSIENT


def _pause_asked_for(error: Exception) -> float:
    """Return the pause in seconds that an answer asks for."""
    from requests import RequestException

    response = getattr(error, "response", None)
    if response is None:
        return 0.0
    with suppress(RequestException, OSError):
        response.content  # noqa: B018 - an answer that is not read keeps its connection open
    return pause_asked_for(response.headers.get("Retry-After"))


def known_errors() -> tuple[type[BaseException], ...]:
    """Everything that the client library raises for a mishap that is not a fault of ours."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    from requests import RequestException

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
    """The HTTP status that an error stands for; 0 where it is none."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud.storage.exceptions import InvalidResponse

    if isinstance(error, GoogleAPICallError):
        return int(error.code or 0)
    return int(error.response.status_code) if isinstance(error, InvalidResponse) else 0


def sentence(uri: str, error: BaseException) -> str:
    """What happened to an object, in words, with what to do where that is known."""
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption

    if isinstance(error, TransientError):
        reason = _reason(error.__cause__ or error)
        return f"{uri}: still fails after many attempts ({reason}); try again later"
    bucket = "/".join(uri.split("/")[:3])
    if type(error) is DefaultCredentialsError:  # its heirs mean something else
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
    text = _said_by_server(error) or getattr(error, "message", "") or str(error)
    words = " ".join(text.split()) or type(error).__name__
    return f"HTTP {status}: {words[:200]}" if status else f"{type(error).__name__}: {words[:200]}"


def _said_by_server(error: BaseException) -> str:
    try:
        return str(error.response.json()["error"]["message"])  # type: ignore[attr-defined]
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):  # it said nothing
        return ""
