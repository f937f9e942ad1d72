"""The one client of the Kubernetes API: plain JSON in and out, transient faults waited for.

The one module that imports ``kubernetes``, and only where a cluster is used: it costs a second.
Its generic call is used, not its hundreds of typed methods: custom resources are plain dicts
anyway, and one call has one place for time limits and retries.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daftt_core.errors import JobError
from daftt_core.network import Retry, TransientError, pause_asked_for, within
from daftt_core.telemetry import log

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_UNAUTHORIZED = 401
_TRANSIENT = {410, 429, 500, 502, 503, 504}
_LOG_PART_BYTES = 2**16
_CONNECT_SECONDS = 10
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

Query = list[tuple[str, str]]


class RefusedError(JobError):
    """The API server answered, and the answer was no.

    Args:
        status: The HTTP status.
        message: The server's own words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Patience:
    """How long faults that may pass are waited for.

    Attributes:
        total_seconds: Until the call is given up.
        first_delay_seconds: Bound of the pause before the second try; it doubles from then on.
        unauthorized_seconds: The same as ``total_seconds``, for refused credentials: the token may
            be about to be replaced.
        read_seconds: Until an answer that has not come in full is given up; a log, a part of it.
    """

    total_seconds: float = 300.0
    first_delay_seconds: float = 0.5
    unauthorized_seconds: float = 20.0
    read_seconds: float = 60.0


class _FaultError(TransientError):
    """A call failed in a way that may pass; the status is 0 where there was no answer."""

    def __init__(self, message: str, status: int = 0, pause_seconds: float = 0.0) -> None:
        super().__init__(message, pause_seconds)
        self.status = status


class _UnauthorizedError(TransientError):
    """The credentials were refused."""


class KubernetesClient:
    """Calls the API.

    Args:
        client: The official client, connected.
        namespace: The namespace of this pod, or of the kubeconfig's context.
        patience: How long faults are waited for.
    """

    def __init__(self, client: ApiClient, namespace: str, patience: Patience | None = None) -> None:
        self._client, self.namespace = client, namespace
        self._patience = patience or Patience()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object that a path answers with.

        A repeated POST cannot make two objects: the name is the same, so the second is refused.

        Raises:
            RefusedError: The server refuses.
            JobError: It cannot be reached.
        """
        answer: dict[str, Any] = self._call(method, path, query, body, headers)
        return answer

    def lines(self, path: str, query: Query) -> Iterator[str]:
        """Yield the lines of a text as they come.

        The iterator ends without a word when the connection is lost: what is missing is asked for
        next time. Raises as :meth:`request` does.
        """
        from urllib3.exceptions import HTTPError

        response = self._call("GET", path, query, raw=True)
        parts, rest = response.stream(_LOG_PART_BYTES), b""
        give_up = time.monotonic() + self._patience.total_seconds
        try:
            while part := self._part(parts, give_up):
                *lines, rest = (rest + part).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if rest:
                yield rest.decode(errors="replace")
        except TimeoutError as error:  # closing it would wait for who still waits for its next part
            log.debug("%s: %s", path, error)
            return
        except HTTPError as error:
            log.debug("%s broke off: %s", path, error)
        response.close()

    def _part(self, parts: Iterator[bytes], give_up: float) -> bytes:
        """Return the next part of a text; empty at its end."""
        seconds = min(self._patience.read_seconds, give_up - time.monotonic())
        return within(seconds, lambda: next(parts, b""))

    def _call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        raw: bool = False,
    ) -> Any:
        """Call, again while the fault may pass; refused credentials have their own, brief time."""
        patience = self._patience
        until_answered = Retry(patience.total_seconds, patience.first_delay_seconds)
        until_accepted = Retry(patience.unauthorized_seconds, patience.first_delay_seconds)

        def once(_seconds: float) -> Any:
            return self._once(method, path, query, body, headers, raw)

        try:
            return until_answered.call(
                lambda _: until_accepted.call(once, on=_UnauthorizedError), on=_FaultError
            )
        except _UnauthorizedError as error:
            message = f"the cluster does not accept this token ({error})"
            raise RefusedError(_UNAUTHORIZED, message) from None
        except _FaultError as fault:
            if fault.status:
                message = f"the cluster keeps answering {fault.status} ({fault})"
                raise RefusedError(fault.status, message) from None
            raise JobError(f"the cluster cannot be reached: {fault}") from None

    def _once(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: object,
        headers: dict[str, str] | None,
        raw: bool,
    ) -> Any:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            patch = method == "PATCH"
            sent["Content-Type"] = f"application/{'merge-patch+json' if patch else 'json'}"
        call = partial(
            self._client.call_api,
            path,
            method,
            query_params=query or [],
            header_params=sent,
            body=body,
            response_type=None if raw else "object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=not raw,
            _request_timeout=(_CONNECT_SECONDS, self._patience.read_seconds),
        )
        try:
            answer = within(self._patience.read_seconds, call)
        except ApiException as error:
            if error.status == _UNAUTHORIZED:
                raise _UnauthorizedError(_words(error)) from None
            if error.status in _TRANSIENT:
                pause = pause_asked_for((error.headers or {}).get("Retry-After"))
                raise _FaultError(_words(error), error.status, pause) from None
            raise RefusedError(error.status, _words(error)) from None
        except (HTTPError, OSError) as error:
            raise _FaultError(str(error)) from None
        except (ValueError, RecursionError):
            raise _FaultError("an answer that cannot be read as JSON") from None
        if not raw and not isinstance(answer, dict):
            raise _FaultError("an answer that is no JSON object, from a proxy perhaps")
        return answer


def connect(patience: Patience | None = None) -> KubernetesClient:
    """Connect to the cluster that KUBECONFIG names, or else to the one this pod runs in.

    Args:
        patience: How long faults are waited for.

    Raises:
        JobError: There is neither.
    """
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        namespace = _configure(settings)
    except (config.ConfigException, OSError, TypeError) as error:
        raise JobError(
            "no cluster is known here: this is no pod with a service account, and no "
            f"kubeconfig names one ({error}); set KUBECONFIG, or job_launcher to local"
        ) from None
    settings.retries = False  # one place for retries: ours
    return KubernetesClient(client.ApiClient(settings), namespace, patience)


def _configure(settings: Any) -> str:
    """Find the cluster's address and credentials; return the namespace that comes with them."""
    from kubernetes import config

    file = os.environ.get("KUBECONFIG")  # the client itself looks once, when it is imported
    if not file:
        with suppress(config.ConfigException, OSError):
            config.load_incluster_config(client_configuration=settings)
            return Path(_SERVICE_ACCOUNT, "namespace").read_text(encoding="utf-8").strip()
    config.load_kube_config(file or None, client_configuration=settings)
    _, current = config.list_kube_config_contexts(file or None)
    return str(current["context"].get("namespace", "default"))


def _words(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError, RecursionError):
        return f"{error.status} {error.reason}"


def amount(quantity: str) -> float:
    """Return an amount that Kubernetes writes as text: ``500m`` is 0.5, ``2Ki`` is 2048.

    What is no such amount is 0.
    """
    from kubernetes.utils import parse_quantity

    try:
        return float(parse_quantity(quantity))
    except ValueError:
        return 0.0
