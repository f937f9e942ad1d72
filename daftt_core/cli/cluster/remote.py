"""Speaking to a Kubeflow Pipelines installation: where it is, what it answers, what it refuses.

Everything goes through ``kfp.Client``. A dry run asks what is there and shows each request that
would change something, word for word, in place of sending it. The token is never shown.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import click

from daftt_core.cli.printing import say_json
from daftt_core.errors import ConfigError, RemoteError
from daftt_core.network.addresses import address_problem
from daftt_core.network.retry import within

_PATIENCE_SECONDS = 10  # for the first answer; what comes later may be a large upload
_MESSAGE_CHARACTERS = 300
_NOISE = re.compile(r"<[^<>]*>|HTTPS?Connection\([^()]*\):|\(Caused by.*")
_NEW = "<new "
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


@dataclass(frozen=True)
class Connection:
    """Where Kubeflow Pipelines is and who asks.

    Attributes:
        host: Its address.
        namespace: The namespace to work in; empty where the installation has one user.
        token: Opens it; empty where it is open.
        ca_cert: File of certificates that the address may be signed by; empty: the usual ones.
    """

    host: str
    namespace: str = ""
    token: str = field(default="", repr=False)
    ca_cert: str = ""

    @property
    def shown(self) -> str:
        """The address without a name and password that it may hold."""
        return re.sub(r"//[^/@]*@", "//", self.host)


@dataclass(frozen=True)
class Remote:
    """An open connection.

    Attributes:
        client: The ``kfp.Client``.
        connection: Where it leads.
    """

    client: Any
    connection: Connection

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
        """The address of a page of the user interface."""
        return f"{self.connection.shown}/#/{path}"


def with_connection(command: _Decorated) -> _Decorated:
    """Give a command the options that say where Kubeflow Pipelines is."""
    for flag, variable, text in (
        ("--ca-cert", "DAFTT_KFP_CA_CERT", "File of the certificates that sign the address."),
        ("--token", "DAFTT_KFP_TOKEN", "Token; better in the variable than on a command line."),
        ("--namespace", "DAFTT_KFP_NAMESPACE", "Namespace; empty where there is one user."),
        ("--host", "DAFTT_KFP_HOST", "Address of Kubeflow Pipelines."),
    ):
        command = click.option(
            flag, default="", envvar=variable, show_envvar=True, metavar="TEXT", help=text
        )(command)
    return command


def with_dry_run(command: _Decorated) -> _Decorated:
    """Give a command the option to show what it would send."""
    text = "Ask what is there, show each request that would change something, and send none."
    return click.option("--dry-run", is_flag=True, help=text)(command)


def connect(connection: Connection, *, dry_run: bool = False) -> Remote:
    """Open a connection and see that the other side is Kubeflow Pipelines.

    Args:
        connection: Where to.
        dry_run: Show requests that would change something, and do not send them.

    Raises:
        ConfigError: No address or no namespace was given where one is needed.
        RemoteError: Nothing answers there, or something else, or it refuses.
    """
    if not connection.host:
        raise ConfigError(
            "no address of Kubeflow Pipelines was given: use --host or DAFTT_KFP_HOST, such as "
            "http://localhost:8888 after kubectl -n kubeflow port-forward svc/ml-pipeline 8888"
        )
    if problem := address_problem(connection.shown):
        raise ConfigError(f"--host: {connection.shown!r} is not an address: it {problem}")
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
    remote = Remote(_client(connection), connection)
    if dry_run:
        _show_and_do_not_send(remote)
    return remote


def equals(key: str, value: str) -> str:
    """The filter of a list for entries whose ``key`` is ``value``."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "stringValue": value}]})


def is_made_up(identifier: str) -> bool:
    """Whether an id is one that a dry run puts in the place of one that does not exist yet."""
    return identifier.startswith(_NEW)


def _greet(connection: Connection) -> bool:
    """See that Kubeflow Pipelines answers; whether it serves several users."""
    from kfp_server_api import ApiClient, Configuration

    settings = Configuration(host=connection.host.rstrip("/"))
    if connection.ca_cert:
        settings.ssl_ca_cert = connection.ca_cert
    headers = {"authorization": f"Bearer {connection.token}"} if connection.token else {}
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
            "a page to log in: check the address and DAFTT_KFP_TOKEN"
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
        401: "the token is missing, wrong or has expired; set DAFTT_KFP_TOKEN",
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
    if connection.token:
        text = text.replace(connection.token, "***")
    return " ".join(text.split())[:_MESSAGE_CHARACTERS]


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    text = " ".join(str(reason).split())
    return _NOISE.sub("", text).strip(" :") or "silence"


@dataclass
class _Answer:
    """What a dry run puts in the place of an answer: the request itself, with names for ids.

    Not frozen: the client puts the decoded text in the place of the bytes.
    """

    data: bytes
    status: int = 200

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return "application/json" if name.lower() == "content-type" else default

    def getheaders(self) -> dict[str, str]:
        return {"content-type": "application/json"}


def _show_and_do_not_send(remote: Remote) -> None:
    rest = remote.client._run_api.api_client.rest_client
    base = remote.connection.host.rstrip("/")
    terminal = sys.stdout  # what kfp prints is swallowed, but not this

    def show(method: str) -> Callable[..., _Answer]:
        def request(url: str, **parts: Any) -> _Answer:
            shown: dict[str, Any] = {"method": method, "path": url.removeprefix(base)}
            if parts.get("query_params"):
                shown["query"] = dict(parts["query_params"])
            if parts.get("body"):
                shown["body"] = parts["body"]
            if parts.get("post_params"):
                shown["files"] = [_file(*part) for part in parts["post_params"]]
            say_json(shown, file=terminal)
            return _Answer(json.dumps(_made_up(shown)).encode())

        return request

    rest.POST, rest.DELETE = show("POST"), show("DELETE")


def _file(field_name: str, content: tuple[str, bytes, str]) -> dict[str, object]:
    name, data, _ = content
    digest = hashlib.sha256(data).hexdigest()
    return {"field": field_name, "name": name, "bytes": len(data), "sha256": digest}


def _made_up(shown: dict[str, Any]) -> dict[str, Any]:
    """The request's body with ids that say what they stand for."""
    ids = ("pipeline_id", "pipeline_version_id", "experiment_id", "run_id", "recurring_run_id")
    body = shown.get("body") or {}
    return {**{name: f"{_NEW}{name}>" for name in ids}, **body}
