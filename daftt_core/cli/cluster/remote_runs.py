"""A run of a cluster by its name or id, and the folders that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daftt_core.cli.cluster.remote import Remote, equals
from daftt_core.config import (
    FORM_SETTINGS,
    ClusterConfig,
    Config,
    from_argument,
    json_argument,
    read_form,
)
from daftt_core.errors import RemoteError
from daftt_core.preflight import resolve
from daftt_core.workspace import Run

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class RunPart:
    """What a run in Kubeflow Pipelines works on: a run, or one of the cells of a sweep.

    Attributes:
        name: The cell's name; empty for a run.
        config: Its settings.
        run: The run that they describe.
    """

    name: str
    config: Config
    run: Run

    def named(self, text: str) -> str:
        """Return the name of something of this part, with the cell's name before it."""
        return f"{self.name}/{text}" if self.name else text


def find_run(remote: Remote, run: str) -> Any:
    """Return a run in Kubeflow Pipelines by its id, or the newest of its name.

    Raises:
        RemoteError: There is none.
    """
    if not _ID.fullmatch(run):
        runs = runs_of_name(remote, run)
        if not runs:
            raise RemoteError(
                f"{remote.connection.shown}: there is no run {run!r}; see: daftt runs --remote"
            )
        run = runs[0].run_id
    with remote.doing(f"read the run {run}"):
        return remote.client.get_run(run)


def runs_of_name(remote: Remote, name: str) -> list[Any]:
    """Return the runs of a name in Kubeflow Pipelines, the newest first.

    Raises:
        RemoteError: It was refused.
    """
    with remote.doing("list the runs"):
        runs = remote.client.list_runs(
            namespace=remote.connection.namespace or None,
            sort_by="created_at desc",
            filter=equals("display_name", name),
        ).runs
    return list(runs or [])


def runs_of(run: Any) -> Iterator[RunPart]:
    """Yield the run that the form of a pipeline makes, or the cells of a sweep.

    Raises:
        ConfigError: The form has mistakes, or is that of another pipeline.
        TaskError: The task is unknown or wrong.
    """
    yield from parts_of((run.runtime_config and run.runtime_config.parameters) or {})


def parts_of(parameters: Mapping[str, Any]) -> Iterator[RunPart]:
    """Yield what :func:`runs_of` does, from the arguments of a pipeline.

    Raises:
        ConfigError: They have mistakes, or are those of another pipeline.
        TaskError: The task is unknown or wrong.
    """
    arguments = from_argument(dict(parameters))
    form: dict[str, Any] = dict.fromkeys((*FORM_SETTINGS, "preset"), "")
    form |= {"settings": {}, "compiled_in": json_argument(ClusterConfig())} | arguments
    if "fractions" not in form:
        config = read_form(form)
        yield RunPart("", config, resolve(config))
        return
    from daftt_core.sweep import read_sweep_form

    for cell in read_sweep_form(form).cells:
        yield RunPart(cell.name, cell.config, cell.run)
