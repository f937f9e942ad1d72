"""``daftt submit``: the whole pipeline on a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from daftt_core.cli.launch import compiled_pipeline
from daftt_core.cli.remote import Connection, Remote, connect, equals, with_connection, with_dry_run
from daftt_core.cli.settings import SettingsCommand, read_config, with_settings
from daftt_core.cli.upload import PIPELINE, Version, upload_version
from daftt_core.config import Config, to_flat
from daftt_core.costs import check_teacher_fits
from daftt_core.errors import ConfigError
from daftt_core.records import digest

__all__ = ["check_for_cluster", "experiment_id", "run_name", "submit_command", "with_experiment"]

_ALIVE = ("PENDING", "RUNNING", "PAUSED", "SUCCEEDED")
_FILES = ("train", "dev", "test", "unlabelled")


def with_experiment(command: Any) -> Any:
    """Give a command the options that say as what a run is started."""
    command = click.option(
        "--service-account",
        default="",
        envvar="DAFTT_KFP_SERVICE_ACCOUNT",
        show_envvar=True,
        help="Kubernetes service account of the run's pods; empty: the installation's own.",
    )(command)
    return click.option(
        "--experiment", default=PIPELINE, show_default=True, help="Experiment the run belongs to."
    )(command)


@click.command("submit", cls=SettingsCommand, short_help="Run the whole pipeline on a cluster.")
@with_settings
@with_connection
@with_experiment
@with_dry_run
@click.option("--again", is_flag=True, help="Start it even if the same run is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def submit_command(
    settings_file: Path | None,
    host: str,
    namespace: str,
    token: str,
    ca_cert: str,
    experiment: str,
    service_account: str,
    dry_run: bool,
    again: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Start the whole pipeline in Kubeflow Pipelines.

    The pipeline is uploaded first, if it is not there. A run with the same settings that is going
    on or has succeeded is not started twice; one that failed is started again and goes on where
    it stopped.

    \b
    Examples:
      daftt submit --host http://localhost:8888 --output gs://my-bucket/daftt
      daftt submit --settings my-settings.yaml --cluster-gpus 1 --dry-run
    """
    config = read_config(settings_file, given)
    check_for_cluster(config)
    remote = connect(Connection(host, namespace, token, ca_cert), dry_run=dry_run)
    version = upload_version(remote, compiled_pipeline())
    group = experiment_id(remote, experiment)
    name = run_name(config)
    run = None if again or version.is_new else _find(remote, group, name, version, config)
    started = run is None
    if run is None:
        with remote.doing("start the run"):
            run = remote.client.run_pipeline(
                group,
                name,
                params=to_flat(config),
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
                service_account=service_account or None,
            )
    _tell(remote, run, name, started=started, dry_run=dry_run, as_json=as_json)


def _tell(
    remote: Remote, run: Any, name: str, *, started: bool, dry_run: bool, as_json: bool
) -> None:
    link = remote.link(f"runs/details/{run.run_id}")
    if dry_run and started:
        return
    if as_json and not dry_run:
        answer = {"run_id": run.run_id, "name": name, "started": started, "link": link}
        click.echo(json.dumps(answer, indent=1))
    elif started:
        click.echo(f"{name}: started as {run.run_id}\n{link}")
    else:
        click.echo(f"# nothing to send: {name} is there as {run.run_id} ({run.state}); see --again")


def check_for_cluster(config: Config) -> None:
    """Make sure that pods can reach what the settings name.

    Raises:
        ConfigError: Names every setting that only this machine understands, or says that the
            teacher cannot fit its GPUs.
    """
    mistakes = []
    if "://" not in config.run.output or config.run.output.startswith("file://"):
        mistakes.append(
            f"run.output: {config.run.output!r} would be a folder of a single pod; give a storage "
            "prefix such as gs://my-bucket/daftt"
        )
    for name in _FILES:
        path = getattr(config.data, name)
        if path and "://" not in path and not path.startswith("/"):
            mistakes.append(
                f"data.{name}: {path!r} is a file of this machine, which pods do not see; copy it "
                "to storage and give its URI"
            )
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    check_teacher_fits(config)


def run_name(config: Config) -> str:
    """The name of a run: its own, or its task and a digest of all its settings."""
    return config.run.name or f"{Path(config.run.task).stem}-{digest(to_flat(config), length=8)}"


def experiment_id(remote: Remote, name: str) -> str:
    """The id of an experiment, which is created where it is missing.

    Raises:
        RemoteError: It was refused.
    """
    with remote.doing(f"find or create the experiment {name!r}"):
        found = remote.client.create_experiment(name, namespace=remote.connection.namespace or None)
    return str(found.experiment_id)


def _find(remote: Remote, group: str, name: str, version: Version, config: Config) -> Any:
    """The newest run that does the same, goes on or has succeeded; None where there is none."""
    with remote.doing("list the runs"):
        runs = remote.client.list_runs(
            experiment_id=group,
            sort_by="created_at desc",
            page_size=50,
            filter=equals("display_name", name),
        ).runs
    for run in runs or []:
        reference, runtime = run.pipeline_version_reference, run.runtime_config
        if (
            run.state in _ALIVE
            and reference
            and reference.pipeline_version_id == version.version_id
            and runtime
            and runtime.parameters == to_flat(config)
        ):
            return run
    return None
