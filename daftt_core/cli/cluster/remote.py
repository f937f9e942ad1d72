"""Speaking to a Kubeflow Pipelines installation: where it is, what it answers, what it refuses.

Everything goes through ``kfp.Client``. A dry run reads what is there and shows each change instead
of making it. The token is never shown.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import click

from daftt_core.cli.cluster.connection import Connection
from daftt_core.cli.printing import say, say_json
from daftt_core.errors import ConfigError, RemoteError
from daftt_core.network.addresses import address_problem
from daftt_core.network.retry import within

KFP_NAMESPACE = "kubeflow"
"""Where Kubeflow Pipelines is usually installed, and with one user all of its runs go."""

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
"""States of a run in Kubeflow Pipelines that is over."""

_PATIENCE_SECONDS = 10  # for the first answer; what comes later may be a large upload
_MESSAGE_CHARACTERS = 300
_NOISE = re.compile(r"<[^<>]*>|HTTPS?Connection\([^()]*\):|\(Caused by.*")
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Remote:
    """An open connection.

    Attributes:
        client: The ``kfp.Client``.
        connection: Where it leads.
        dry_run: Whether changes are shown and not made.
        several_users: Whether each user has a namespace there.
    """

    client: Any
    connection: Connection
    dry_run: bool = False
    several_users: bool = False

    @property
    def pod_namespace(self) -> str:
        """The namespace of the runs' pods: with one user the usual one of the installation."""
        return self.connection.namespace if self.several_users else KFP_NAMESPACE

    def change(
        self, what: str, call: Callable[..., _Answer], /, **arguments: Any
    ) -> _Answer | None:
        """Make a change, or show it in a dry run.

        Args:
            what: What is done, such as ``start the run``.
            call: Makes the change.
            arguments: What it is called with; all of it is shown.

        Raises:
            RemoteError: It was refused, or nothing answered.

        Returns:
            The answer; None in a dry run.
        """
        if self.dry_run:
            say_json({"would": what, "with": {k: v for k, v in arguments.items() if v is not None}})
            return None
        with self.doing(what):
            return call(**arguments)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Turn a refusal of anything inside the block into one sentence.

        Args:
            what: What is done, such as ``start the run``.

        Raises:
            RemoteError: It was refused, or nothing answered.
        """
        with _in_a_sentence(self.connection, what), redirect_stdout(StringIO()):
            yield  # kfp prints links; what a script reads must hold nothing but the answer

    def link(self, path: str) -> str:
        """Return the address of a page of the user interface."""
        return self.connection.link(path)

    def run_link(self, run_id: str) -> str:
        """Return the address of a run's page in the user interface."""
        return self.link(f"runs/details/{run_id}")


def with_dry_run(command: _Decorated) -> _Decorated:
    """Give a command the option to show what it would send."""
    text = "Read what is there, show each change that would be made, and make none."
    return click.option("--dry-run", is_flag=True, help=text)(command)


def connect(connection: Connection, *, dry_run: bool = False) -> Remote:
    """Open a connection and see that the other side is Kubeflow Pipelines.

    Args:
        connection: Where to.
        dry_run: Show changes and do not make them.

    Raises:
        ConfigError: No address or no namespace was given where one is needed.
        RemoteError: Nothing answers there, or something else, or it refuses.
    """
    if not connection.host:
        raise ConfigError(
            "no address of Kubeflow Pipelines was given: use --host or DAFTT_KFP_HOST, such as "
            "http://localhost:8888 after kubectl -n kubeflow port-forward svc/ml-pipeline 8888"
        )
    for option, address in (("--host", connection.shown), ("--ui", connection.ui)):
        if address and (problem := address_problem(address)):
            raise ConfigError(f"{option}: {address!r} is not an address: it {problem}")
    if connection.ca_cert and not Path(connection.ca_cert).is_file():
        raise ConfigError(f"--ca-cert: {connection.ca_cert}: there is no such file")
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each attempt
    with _in_a_sentence(connection, "answer"):
        several_users = _greet(connection)
    if several_users and not connection.namespace:
        raise ConfigError(
            f"{connection.shown} has several users: say which namespace is yours with --namespace "
            "or DAFTT_KFP_NAMESPACE"
        )
    if connection.namespace and not several_users:
        say(
            f"--namespace {connection.namespace} is not used: {connection.shown} has one user, and "
            "all runs go to the namespace it is installed in",
            err=True,
        )
    return Remote(_client(connection), connection, dry_run, several_users)


def seconds_of(run: Any) -> float:
    """Return how long a run took, or has taken so far."""
    ended = run.finished_at if run.state in ENDED else None
    return float(((ended or datetime.now(UTC)) - run.created_at).total_seconds())


def state_of(run: Any) -> str:
    """Return the state of a run in the words of Kubeflow Pipelines.

    One that was terminated is CANCELED. Kubeflow Pipelines 2.17 says so nowhere: its state is
    CANCELING until its workflow has ended, and then what that says, FAILED.
    """
    history = {status.state for status in run.state_history or []}
    canceled = run.state == "FAILED" and "CANCELING" in history
    return "CANCELED" if canceled else run.state or "PENDING"


def equals(key: str, value: str) -> str:
    """Return the filter of a list for entries whose ``key`` is ``value``."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})


def _greet(connection: Connection) -> bool:
    """See that Kubeflow Pipelines answers; whether it serves several users."""
    from kfp_server_api import ApiClient, Configuration

    settings = Configuration(host=connection.host.rstrip("/"))
    if connection.ca_cert:
        settings.ssl_ca_cert = connection.ca_cert
    headers = {"authorization": f"Bearer {connection.token}"} if connection.token else {}
    headers |= {"Cookie": connection.cookie} if connection.cookie else {}
    settings.retries = False  # no redirect is followed either: the token goes nowhere else
    with ApiClient(settings) as client:
        ask = partial(
            client.rest_client.GET,
            f"{settings.host}/apis/v2beta1/healthz",
            headers=headers,
            _request_timeout=_PATIENCE_SECONDS,
        )
        try:
            answer = within(_PATIENCE_SECONDS, ask)
        except TimeoutError as error:
            raise RemoteError(
                f"{connection.shown}: {error}; check the address and the network"
            ) from None
    try:
        return bool(json.loads(answer.data).get("multi_user"))
    except (ValueError, AttributeError, RecursionError):
        raise RemoteError(
            f"{connection.shown}: answers with something that is not Kubeflow Pipelines, perhaps "
            "a page to log in: check the address, and DAFTT_KFP_TOKEN or DAFTT_KFP_COOKIE"
        ) from None


def _client(connection: Connection) -> Any:
    import kfp

    with warnings.catch_warnings(), _in_a_sentence(connection, "answer"):
        warnings.simplefilter("ignore", FutureWarning)  # kfp tells everybody that it is kfp 2
        return kfp.Client(
            host=connection.host,
            # kfp takes its own default for "none given"
            namespace=connection.namespace or "kubeflow",
            existing_token=connection.token or None,
            cookies=connection.cookie or None,
            ssl_ca_cert=connection.ca_cert or None,
        )


@contextmanager
def _in_a_sentence(connection: Connection, what: str) -> Iterator[None]:
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise RemoteError(_refusal(connection, what, error.status, error.body)) from None
    except HTTPError as error:
        raise RemoteError(
            f"{connection.shown}: cannot be reached to {what}: {_cause(error)}; check the address "
            "and the network"
        ) from None


def _refusal(connection: Connection, what: str, status: int, body: str | bytes | None) -> str:
    place = f"namespace {connection.namespace!r}" if connection.namespace else "it"
    said = _message(connection, body)
    because = {
        401: "the token or cookie is missing, wrong or has expired; set DAFTT_KFP_TOKEN or "
        "DAFTT_KFP_COOKIE",
        403: f"this is not allowed in {place}; ask for the right, or choose another --namespace",
        404: "there is no such thing there; check the name, and that the address is the one of "
        "the API",
        409: "there is one of that name already, perhaps since a moment; run the same command "
        "again",
        429: "it is asked too often; run the same command again later",
    }.get(status)
    if because is None:
        fault = status >= 500
        because = "it has a fault; run the same command again later" if fault else "it refuses"
    return f"{connection.shown}: cannot {what} ({status}): {because}{said and f': {said}'}"


def _message(connection: Connection, body: str | bytes | None) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""
    try:
        answer = json.loads(text)
        text = str(answer.get("message") or answer.get("error") or "")
    except (ValueError, AttributeError):
        text = "" if text.lstrip().startswith("<") else text  # a page, not a message
    for secret in filter(None, (connection.token, connection.cookie)):
        text = text.replace(secret, "***")
    return " ".join(text.split())[:_MESSAGE_CHARACTERS]


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    text = " ".join(str(reason).split())
    return _NOISE.sub("", text).strip(" :") or "silence"
