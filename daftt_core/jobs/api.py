"""The cluster's API: plain objects in and out, faults that pass are waited for, others are told.

The one module that imports ``kubernetes``, and only once a cluster is asked for: it costs a second.
Its generic call is used, not its hundreds of typed methods: custom resources are plain dicts
anyway, and one call has one place for time limits and retries.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from daftt_core.errors import JobError
from daftt_core.jobs.kinds import JobKind
from daftt_core.network import pause_asked_for, within
from daftt_core.telemetry import log

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["Cluster", "Patience", "RefusedError", "connect"]

_PASSING = {401, 410, 429, 500, 502, 503, 504}
"""Answers that may be others a moment later; 401 while a token is being replaced."""

_MAX_DELAY_SECONDS = 30.0
_LOG_PART_BYTES = 2**16
_jitter = random.Random()  # noqa: S311 - no secret; its own, as the global one is seeded for a run
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


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
        first_delay_seconds: Before the second try; it doubles from then on.
        unauthorized_seconds: The same as ``total_seconds``, for refused credentials.
        read_seconds: Until an answer that has not come in full is given up; a log, a part of it.
    """

    total_seconds: float = 300.0
    first_delay_seconds: float = 0.5
    unauthorized_seconds: float = 20.0
    read_seconds: float = 60.0


class Cluster:
    """What the launcher needs from a cluster, in one namespace.

    Args:
        client: The official client, connected.
        namespace: The namespace.
        patience: How long faults are waited for.
    """

    def __init__(self, client: ApiClient, namespace: str, patience: Patience | None = None) -> None:
        self._client, self.namespace = client, namespace
        self._patience = patience or Patience()

    def create(self, kind: JobKind, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create a job.

        Raises:
            RefusedError: With status 409, it exists already. An answer that got lost on its way
                leads there too.
        """
        return self._object("POST", self._jobs(kind), kind=kind, body=manifest)

    def get(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        """A job, or None where there is none of this name."""
        return self._found(self._jobs(kind, name), kind)

    def adopt(self, kind: JobKind, name: str, owners: list[dict[str, Any]]) -> None:
        """Give a job a new owner."""
        body = {"metadata": {"ownerReferences": owners}}
        self._object("PATCH", self._jobs(kind, name), kind=kind, body=body)

    def delete(self, kind: JobKind, name: str, uid: str) -> None:
        """Delete a job, but no other one of the same name; its pods go first."""
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
        try:
            self._object("DELETE", self._jobs(kind, name), kind=kind, body=body)
        except RefusedError as error:
            if error.status not in (404, 409):  # gone already, or another one by now
                raise

    def jobs(self, kind: JobKind, selector: str) -> list[dict[str, Any]]:
        """The jobs whose labels match."""
        return self._items(self._jobs(kind), ("labelSelector", selector), kind)

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """The pods whose labels match."""
        return self._items(self._core("pods"), ("labelSelector", selector))

    def pod(self, name: str) -> dict[str, Any] | None:
        """A pod, or None where there is none of this name."""
        return self._found(f"{self._core('pods')}/{name}")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events about the object of this name."""
        return self._items(self._core("events"), ("fieldSelector", f"involvedObject.name={name}"))

    def log_lines(
        self, pod: str, container: str, *, since: str = "", last: int | None = None
    ) -> Iterator[str]:
        """A container's log, each line with the time it was written.

        The iterator ends without a word when the connection is lost: what is missing is asked for
        next time.

        Args:
            pod: Name of the pod.
            container: Name of the container.
            since: Time of the first line wanted, in whole seconds.
            last: How many lines from the end.
        """
        from urllib3.exceptions import HTTPError

        query = [("container", container), ("timestamps", "true")]
        query += [("sinceTime", since)] if since else []
        query += [("tailLines", str(last))] if last is not None else []
        response = self._call("GET", f"{self._core('pods')}/{pod}/log", query=query, raw=True)
        parts, rest = response.stream(_LOG_PART_BYTES), b""
        give_up = time.monotonic() + self._patience.total_seconds
        try:
            while part := self._part(parts, give_up):
                *lines, rest = (rest + part).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if rest:
                yield rest.decode(errors="replace")
        except TimeoutError as error:  # closing it would wait for who still waits for its next part
            log.debug("the log of %s: %s", pod, error)
            return
        except HTTPError as error:
            log.debug("the log of %s broke off: %s", pod, error)
        response.close()

    def _part(self, parts: Iterator[bytes], give_up: float) -> bytes:
        """The next part of a log; empty at its end."""
        seconds = min(self._patience.read_seconds, give_up - time.monotonic())
        return within(seconds, lambda: next(parts, b""))

    def _jobs(self, kind: JobKind, name: str = "") -> str:
        path = f"/apis/{kind.group}/{kind.version}/namespaces/{self.namespace}/{kind.plural}"
        return f"{path}/{name}" if name else path

    def _core(self, plural: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{plural}"

    def _found(self, path: str, kind: JobKind | None = None) -> dict[str, Any] | None:
        try:
            return self._object("GET", path, kind=kind)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def _items(
        self, path: str, query: tuple[str, str], kind: JobKind | None = None
    ) -> list[dict[str, Any]]:
        answer = self._object("GET", path, kind=kind, query=[query])
        return answer.get("items") or []  # Go writes null for a list without entries

    def _object(
        self,
        method: str,
        path: str,
        *,
        kind: JobKind | None = None,
        body: object = None,
        query: list[tuple[str, str]] | None = None,
    ) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._call(method, path, query=query, body=body)
        except RefusedError as error:
            raise _explained(error, kind, method, self.namespace) from None
        return found

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: object = None,
        raw: bool = False,
    ) -> Any:
        """One call, repeated while its fault may pass.

        A repeated POST cannot make two jobs: the name is the same, so the second is refused.
        """
        since: dict[bool, float] = {}  # the first fault; that of credentials has its own clock
        delay = self._patience.first_delay_seconds
        while True:
            try:
                return self._once(method, path, query, body, raw)
            except _PassingFaultError as fault:
                unauthorized = fault.status == 401
                now = time.monotonic()
                limit = self._patience.total_seconds
                if unauthorized:
                    limit = self._patience.unauthorized_seconds
                pause = max(fault.retry_after, delay * _jitter.uniform(0.5, 1.5))
                if now - since.setdefault(unauthorized, now) + pause > limit:
                    raise fault.final() from None
                log.debug("%s %s: %s; again in %.1f s", method, path, fault, pause)
                time.sleep(pause)
                delay = min(delay * 2, _MAX_DELAY_SECONDS)

    def _once(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]] | None,
        body: object,
        raw: bool,
    ) -> Any:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json"}
        if body is not None:
            patch = method == "PATCH"
            headers["Content-Type"] = f"application/{'merge-patch+json' if patch else 'json'}"
        call = partial(
            self._client.call_api,
            path,
            method,
            query_params=query or [],
            header_params=headers,
            body=body,
            response_type=None if raw else "object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=not raw,
            _request_timeout=(10, self._patience.read_seconds),
        )
        try:
            answer = within(self._patience.read_seconds, call)
        except ApiException as error:
            if error.status in _PASSING:
                pause = pause_asked_for((error.headers or {}).get("Retry-After"))
                raise _PassingFaultError(_words(error), error.status, pause) from None
            raise RefusedError(error.status, _words(error)) from None
        except (HTTPError, OSError) as error:
            raise _PassingFaultError(str(error)) from None
        except (ValueError, RecursionError):
            raise _PassingFaultError("an answer that cannot be read as JSON") from None
        if not raw and not isinstance(answer, dict):
            raise _PassingFaultError("an answer that is no JSON object, from a proxy perhaps")
        return answer


class _PassingFaultError(Exception):
    def __init__(self, message: str, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after

    def final(self) -> JobError:
        if self.status == 401:
            return RefusedError(401, f"the cluster does not accept this token ({self})")
        if self.status:
            return RefusedError(self.status, f"the cluster keeps answering {self.status} ({self})")
        return JobError(f"the cluster cannot be reached: {self}")


def connect(namespace: str = "", patience: Patience | None = None) -> Cluster:
    """The cluster this pod runs in, or else the one that KUBECONFIG names.

    Args:
        namespace: The namespace; empty takes that of the pod or of the kubeconfig's context.
        patience: How long faults are waited for.

    Raises:
        JobError: There is neither.
    """
    from pathlib import Path

    from kubernetes import client, config

    settings = client.Configuration()
    file = os.environ.get("KUBECONFIG")  # the client itself looks once, when it is imported
    try:
        config.load_incluster_config(client_configuration=settings)
        own = Path(_SERVICE_ACCOUNT, "namespace").read_text(encoding="utf-8").strip()
    except (config.ConfigException, OSError):
        try:
            config.load_kube_config(file, client_configuration=settings)
            own = config.list_kube_config_contexts(file)[1]["context"].get("namespace", "default")
        except (config.ConfigException, OSError, TypeError) as error:
            raise JobError(
                "no cluster is known here: this is no pod with a service account, and no "
                f"kubeconfig names one ({error}); set KUBECONFIG, or job_launcher to local"
            ) from None
    settings.retries = False  # one place for retries: here
    return Cluster(client.ApiClient(settings), namespace or own, patience)


def _explained(
    error: RefusedError, kind: JobKind | None, method: str, namespace: str
) -> RefusedError:
    """The same refusal, with what to do about it."""
    what = kind.plural if kind else "objects"
    if error.status == 403:
        message = (
            f"namespace {namespace}: the service account may not {method} {what} ({error}); "
            "give it a Role that allows this"
        )
    elif error.status == 404 and kind and method != "DELETE":
        message = (
            f"the cluster has no {kind.name} ({kind.group}/{kind.version}) or no namespace "
            f"{namespace} ({error}); install {kind.provider} or create the namespace"
        )
    else:
        return error
    return RefusedError(error.status, message)


def _words(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError, RecursionError):
        return f"{error.status} {error.reason}"
