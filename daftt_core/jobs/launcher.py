"""The choice of a launcher: one protocol, and one line for each way to run a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from daftt_core.config import JobConfig
from daftt_core.jobs.api import connect
from daftt_core.jobs.cluster import ClusterLauncher
from daftt_core.jobs.kinds import JobKind
from daftt_core.jobs.local import LocalLauncher
from daftt_core.jobs.pytorchjob import PYTORCHJOB
from daftt_core.jobs.requests import JobRequest
from daftt_core.jobs.trainjob import TRAINJOB

__all__ = ["KINDS", "Launcher", "launcher_for"]

KINDS = {"pytorchjob": PYTORCHJOB, "trainjob": TRAINJOB}
"""The kinds of jobs a cluster may run, by the name of their launcher."""


class Launcher(Protocol):
    """A way to run a request."""

    def launch(self, request: JobRequest) -> None:
        """Run the request; returns once it has succeeded and raises JobError when it fails."""


def launcher_for(config: JobConfig) -> Launcher:
    """The launcher that the settings ask for.

    Raises:
        JobError: There is no cluster to be found.
    """
    return _LAUNCHERS[config.launcher](config)


def _in_cluster(kind: JobKind) -> Callable[[JobConfig], Launcher]:
    return lambda config: ClusterLauncher(connect(config.namespace), kind)


_LAUNCHERS: dict[str, Callable[[JobConfig], Launcher]] = {
    "local": lambda _: LocalLauncher(),
    **{name: _in_cluster(kind) for name, kind in KINDS.items()},
}
