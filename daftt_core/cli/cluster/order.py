"""What it takes to start a pipeline on a cluster: settings, uploaded version, experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from daftt_core.cli.cluster.connection import Connection, with_connection
from daftt_core.cli.cluster.endings import in_time
from daftt_core.cli.cluster.remote import ENDED, Remote, connect, equals, with_dry_run
from daftt_core.cli.cluster.remote_runs import RunPart, parts_of, runs_of, runs_of_name
from daftt_core.cli.cluster.upload import Version, upload_version, with_pipeline
from daftt_core.cli.printing import say
from daftt_core.cli.settings import (
    read_given,
    sweep_parameters,
    take_variations,
    with_settings,
    with_variations,
)
from daftt_core.config import Config, form_arguments, from_flat, read_presets, to_flat
from daftt_core.errors import ConfigError, DafttError, StorageError
from daftt_core.planning import check_teacher_fits
from daftt_core.preflight import check_for_pods, deciding_settings, differing_settings
from daftt_core.records import digest, visible_line
from daftt_core.tasks import load_task, read_task_file

_SHOWN = 3


@dataclass(frozen=True)
class Order:
    """A pipeline that is ready to be started.

    Attributes:
        remote: The connection.
        version: The uploaded pipeline.
        experiment_id: Where its runs belong; empty where a dry run did not create it.
        service_account: As whom its pods run; empty: the installation's own.
        name: Name of the run.
        parameters: Every parameter.
    """

    remote: Remote
    version: Version
    experiment_id: str
    service_account: str
    name: str
    parameters: dict[str, Any]


def with_order(command: Any) -> Any:
    """Give a command the options from which :func:`place_order` makes an order."""
    command = click.option(
        "--service-account",
        default="",
        envvar="DAFTT_KFP_SERVICE_ACCOUNT",
        show_envvar=True,
        help="Kubernetes service account of the run's pods; empty: the installation's own.",
    )(command)
    command = click.option(
        "--experiment", default="daftt", show_default=True, help="Experiment the run belongs to."
    )(command)
    command = click.option(
        "--overwrite",
        is_flag=True,
        help="Use the name of a run with other settings: what depends on them is done again.",
    )(command)
    for add in (with_dry_run, with_connection, with_variations, with_pipeline, with_settings):
        command = add(command)
    return command


def place_order(
    *,
    settings_file: Path | None,
    pipeline: str,
    connection: Connection,
    experiment: str,
    service_account: str,
    dry_run: bool,
    overwrite: bool,
    **given: Any,
) -> Order:
    """Check the settings, connect, upload the pipeline if it is not there, find its experiment.

    Args:
        settings_file: A YAML file of flat settings, or None.
        pipeline: Which pipeline, ``daftt`` or ``sweep``.
        connection: Where Kubeflow Pipelines is.
        experiment: Name of the experiment, which is created where it is missing.
        service_account: As whom the pods run.
        dry_run: Show changes and do not make them.
        overwrite: Use a name also where a run of that name has other settings.
        given: Values of the settings' options and of a sweep's; None where one was not given.

    Raises:
        ConfigError: Names every mistake of the settings, or a name that is taken.
        RemoteError: Kubeflow Pipelines cannot be reached, or refuses.
    """
    variations = take_variations(given)
    presets, settings = read_given(settings_file, given)
    settings = _carry_task(settings)
    config = from_flat(read_presets(presets) | settings)
    check_for_pods(config)
    check_teacher_fits(config)
    if pipeline == "sweep":
        name, parameters = _sweep(config, presets, settings, variations)
    else:
        _check_no_variation(variations)
        name, parameters = _run_name(config), form_arguments(presets=presets, settings=settings)
    remote = connect(connection, dry_run=dry_run)
    if config.run.name:  # any other name is made of the settings
        _check_name(remote, name, parameters, overwrite=overwrite)
    version = upload_version(remote, pipeline, config)
    experiment_id = _experiment(remote, experiment)
    return Order(remote, version, experiment_id, service_account, name, parameters)


def _check_name(
    remote: Remote, name: str, parameters: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Make sure that no run of this name has other settings, as both would share a folder.

    Args:
        remote: The connection.
        name: The name that was given.
        parameters: The arguments of the pipeline.
        overwrite: Whether such a run may be there if it is over.

    Raises:
        ConfigError: There is one.
        RemoteError: Kubeflow Pipelines refuses.
    """
    parts = list(parts_of(parameters))
    settings = _by_folder(parts)
    for run in runs_of_name(remote, name):
        if run.state in ENDED:
            continue
        if any(settings.get(uri, there) != there for uri, there in _settings_of(run).items()):
            raise ConfigError(
                f"name: {name!r} is the name of a run with other settings that is in progress "
                f"({run.run_id}): choose another name, or stop it with: daftt stop {run.run_id}"
            )
    for part in parts if not overwrite else ():
        try:
            differing = in_time(part.run, partial(differing_settings, part.config, part.run))
        except StorageError as error:
            say(visible_line(f"# the settings of {name} are not compared: {error}"), err=True)
            return
        if differing:
            more = f"; and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
            raise ConfigError(
                f"name: {name!r} is used by a run with other settings in {part.run.uri} "
                f"({'; '.join(differing[:_SHOWN])}{more}): choose another name, or have all that "
                "depends on them done again with --overwrite"
            )


def _by_folder(parts: Iterable[RunPart]) -> dict[str, Any]:
    """Return what decides the result of each folder's run."""
    return {part.run.uri: (deciding_settings(part.config), part.run.task) for part in parts}


def _settings_of(run: Any) -> dict[str, Any]:
    try:
        return _by_folder(runs_of(run))
    except DafttError:  # it is not a run of this pipeline
        return {}


def _experiment(remote: Remote, name: str) -> str:
    """Return the id of the experiment of this name, which is created where it is missing."""
    namespace = remote.connection.namespace or None
    with remote.doing("list the experiments"):
        experiments = remote.client.list_experiments(
            namespace=namespace, filter=equals("display_name", name)
        ).experiments
    if experiments:
        return str(experiments[0].experiment_id)
    made = remote.change(
        "create the experiment", remote.client.create_experiment, name=name, namespace=namespace
    )
    return str(made.experiment_id) if made else ""


def _sweep(
    config: Config,
    presets: list[str],
    settings: dict[str, object],
    variations: Mapping[str, str | None],
) -> tuple[str, dict[str, Any]]:
    from daftt_core.sweep import check_sweep_for_pods, plan_sweep

    planned = sweep_parameters(to_flat(config), variations)
    form = form_arguments(presets=presets, settings=settings, fields=("name", "output", "task"))
    sweep = plan_sweep(**planned)
    check_sweep_for_pods(sweep)
    return sweep.name, planned | {"settings": {}} | form


def _carry_task(settings: dict[str, object]) -> dict[str, object]:
    """Put the text of a task's file in the place of its path, which pods do not see."""
    task = settings.get("task")
    if isinstance(task, str) and task.endswith((".yaml", ".yml")) and "://" not in task:
        return {**settings, "task": read_task_file(task)}
    return settings


def _check_no_variation(variations: Mapping[str, str | None]) -> None:
    for name, value in variations.items():
        if value is not None:
            raise ConfigError(f"--{name}: is for a sweep: add --pipeline sweep, or leave it out")


def _run_name(config: Config) -> str:
    """Return the name of a run: its own, or its task and a digest of all its settings."""
    return config.run.name or f"{load_task(config.run.task).id}-{digest(to_flat(config), length=8)}"
