"""A small client of a service that speaks JSON over HTTP, for what follows a run's end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from daftt_core.errors import RemoteError, shortened
from daftt_core.network.addresses import address_problem
from daftt_core.network.http import DeadlineAdapter, MetadataServiceError, guard
from daftt_core.network.retry import Retry, TransientError, pause_asked_for

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0  # for the whole answer of one attempt
_MOST_BYTES = 2**24
_RETRY = Retry(
    deadline_seconds=90.0, first_pause_seconds=1.0, longest_pause_seconds=5.0, attempts=3
)
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


class JsonApi:
    """A service that is asked by JSON.

    Args:
        url: Its address, without a path's last slash.
        name: What it is, for messages.
        headers: Headers of every request; nothing of them is in a message.

    Raises:
        RemoteError: The address cannot be used.
    """

    def __init__(self, url: str, name: str, headers: Mapping[str, str] | None = None) -> None:
        self.url, self._name = url.rstrip("/"), name
        if problem := address_problem(self.url):
            raise self._error(problem)
        self._headers = dict(headers or {})

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        data: bytes | None = None,
        missing: tuple[str, ...] = (),
    ) -> dict[str, Any] | None:
        """Return the answer to a request; None where there is no such thing (404).

        Args:
            method: ``GET``, ``POST``, ``PATCH`` or ``PUT``.
            path: What follows the address, with its first slash.
            query: Parameters.
            body: What is sent as JSON.
            data: What is sent as it is.
            missing: Error codes of an answer that mean the same as 404.

        Raises:
            RemoteError: It cannot be reached, refuses, or answers with something else than JSON.
        """
        words = {"params": query, "json": body, "data": data}

        def attempt(seconds_left: float) -> dict[str, Any] | None:
            return self._send(method, path, words, min(_ANSWER_SECONDS, seconds_left), missing)

        try:
            return _RETRY.call(attempt)
        except TransientError as error:
            raise self._error(str(error)) from None

    def _send(
        self,
        method: str,
        path: str,
        words: Mapping[str, Any],
        seconds: float,
        missing: tuple[str, ...],
    ) -> dict[str, Any] | None:
        try:
            with requests.Session() as session:
                guard(session, DeadlineAdapter(most_bytes=_MOST_BYTES))
                answer = session.request(
                    method,
                    f"{self.url}{path}",
                    headers=self._headers,
                    timeout=(_CONNECT_SECONDS, seconds),
                    **words,
                )
        except MetadataServiceError as error:
            raise self._error(f"it {error}") from None
        except requests.ReadTimeout:
            raise TransientError(f"it does not answer within {seconds:.0f} seconds") from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise TransientError(f"it cannot be reached ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise self._error(type(error).__name__) from None
        document = _object(answer)
        status = answer.status_code
        if status == 404 or (not answer.ok and document.get("error_code") in missing):
            return None
        if status in _BUSY:
            pause = pause_asked_for(answer.headers.get("Retry-After"))
            raise TransientError(f"it answers {status}", pause)
        if not answer.ok or 300 <= status < 400:
            said = shortened(repr(str(document.get("message") or "")))
            raise self._error(f"it answers {status} to {method} {path}: {said}")
        return document

    def _error(self, reason: str) -> RemoteError:
        return RemoteError(f"{self._name} ({self.url}): {reason}")


def _object(answer: Any) -> dict[str, Any]:
    """Return the JSON object of an answer; an empty one where there is none."""
    try:
        document = answer.json()
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
