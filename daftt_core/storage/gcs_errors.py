"""What can go wrong with Google Cloud Storage: what passes by itself, and words for the rest.

What passes is tried again with growing, random pauses (full jitter, as in "Exponential Backoff And
Jitter", AWS Architecture Blog, 2015), never sooner than the server asks for in ``Retry-After``.
"""

from __future__ import annotations

import http.client
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from daftt_core.network import pause_asked_for
from daftt_core.telemetry import log

__all__ = ["Patience", "known_errors", "sentence", "status_of"]

_PASSING = {408, 429, 500, 502, 503, 504}


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

    def retry(self) -> Any:
        """The same as the client library's own retry object."""
        from google.api_core.retry import Retry

        return Retry(
            predicate=_passes,
            initial=self.first_pause_seconds,
            maximum=self.longest_pause_seconds,
            multiplier=2.0,
            timeout=self.deadline_seconds,
            on_error=_wait_as_asked,
        )


def _passes(error: BaseException) -> bool:
    import requests
    import urllib3
    from google.auth.exceptions import TransportError

    if isinstance(error, TransportError):  # the metadata server that gives out tokens
        return True
    passing = (
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
    return isinstance(error, passing) or status_of(error) in _PASSING


def _wait_as_asked(error: Exception) -> None:
    from requests import RequestException

    log.debug("Google Cloud Storage: %s; trying again", error)
    response = getattr(error, "response", None)
    if response is None:
        return
    with suppress(RequestException, OSError):
        response.content  # noqa: B018 - an answer that is not read keeps its connection open
    time.sleep(pause_asked_for(response.headers.get("Retry-After")))


def known_errors() -> tuple[type[BaseException], ...]:
    """Everything that the client library raises for a mishap that is not a fault of ours."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    from requests import RequestException

    return (
        GoogleAPICallError,
        RetryError,
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
    from google.api_core.exceptions import RetryError
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption

    if isinstance(error, RetryError):
        cause = error.cause or error
        return f"{uri}: still fails after many attempts ({_reason(cause)}); try again later"
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
