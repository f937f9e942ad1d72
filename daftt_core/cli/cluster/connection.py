"""Where Kubeflow Pipelines is and who asks: the options of every command that speaks to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

import click

_OPTIONS = {
    "ui": "Address of its user interface, to which links lead, such as "
    "https://kubeflow.example/_/pipeline; empty: the same as of Kubeflow Pipelines.",
    "ca_cert": "File of the certificates that sign the address.",
    "cookie": "Cookie of a platform with a page to log in, such as authservice_session=...; better "
    "in the variable than on a command line.",
    "token": "Token; better in the variable than on a command line.",
    "namespace": "Namespace; empty where there is one user.",
    "host": "Address of Kubeflow Pipelines.",
}
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


@dataclass(frozen=True)
class Connection:
    """Where Kubeflow Pipelines is and who asks.

    Attributes:
        host: Its address.
        namespace: The namespace to work in; empty where the installation has one user.
        token: Opens it; empty where it is open.
        cookie: Opens a platform with a page to log in, in place of the token.
        ca_cert: File of certificates that the address may be signed by; empty: the usual ones.
        ui: Address of its user interface; empty: that of ``host``.
    """

    host: str
    namespace: str = ""
    token: str = field(default="", repr=False)
    cookie: str = field(default="", repr=False)
    ca_cert: str = ""
    ui: str = ""

    @property
    def shown(self) -> str:
        """The address without a name and password that it may hold."""
        return _without_password(self.host)

    def link(self, path: str) -> str:
        """Return the address of a page of the user interface."""
        base = _without_password(self.ui or self.host).partition("#")[0]
        return f"{base.rstrip('/')}/#/{path}"


def with_connection(command: _Decorated) -> _Decorated:
    """Give a command the options that say where Kubeflow Pipelines is.

    The command gets them as one argument, ``connection``.
    """

    @wraps(command)
    def connected(*args: Any, **given: Any) -> Any:
        parts = {name: given.pop(name) for name in _OPTIONS}
        return command(*args, connection=Connection(**parts), **given)

    decorated: Any = connected
    for name, text in _OPTIONS.items():
        decorated = click.option(
            f"--{name.replace('_', '-')}",
            default="",
            envvar=f"DAFTT_KFP_{name.upper()}",
            show_envvar=True,
            metavar="TEXT",
            help=text,
        )(decorated)
    return cast(_Decorated, decorated)


def _without_password(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//", address)
