"""``daftt upload``: the compiled pipeline as a version in Kubeflow Pipelines."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from daftt_core import __version__
from daftt_core.cli.authoring.compile import compile_pipeline
from daftt_core.cli.cluster.connection import Connection, with_connection
from daftt_core.cli.cluster.remote import Remote, connect, equals, with_dry_run
from daftt_core.cli.local.launch import compiled_pipeline, read_pipeline
from daftt_core.cli.printing import say, say_json
from daftt_core.cli.settings import read_config
from daftt_core.config import Config

PIPELINES = {"daftt": "daftt", "sweep": "daftt-sweep"}
"""The name of each compiled pipeline in Kubeflow Pipelines."""


@dataclass(frozen=True)
class Version:
    """A version of the pipeline in Kubeflow Pipelines.

    Attributes:
        pipeline_id: The pipeline's id there.
        version_id: The version's id there.
        pipeline: The pipeline's name there.
        name: DAFTT's version and the digest of the YAML file.
        is_new: Whether it was not there before.
    """

    pipeline_id: str
    version_id: str
    pipeline: str
    name: str
    is_new: bool


def with_pipeline(command: Any) -> Any:
    """Give a command the option that chooses the pipeline."""
    return click.option(
        "--pipeline",
        type=click.Choice(list(PIPELINES)),
        default="daftt",
        show_default=True,
        help="One run, or a sweep over fractions, ratios, modes and mixtures.",
    )(command)


@click.command("upload")
@with_pipeline
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file of settings; those that shape pods and cannot be chosen for a run are compiled "
    "in: nodes, tolerations, secrets, and what pods without a model get.",
)
@with_connection
@with_dry_run
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def upload_command(
    pipeline: str,
    settings_file: Path | None,
    connection: Connection,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload the compiled pipeline to Kubeflow Pipelines, unless this very file is there.

    \b
    Examples:
      daftt upload --host http://localhost:8888
      daftt upload --settings cluster.yaml
      daftt upload --pipeline sweep --dry-run
    """
    config = read_config(settings_file, {})
    remote = connect(connection, dry_run=dry_run)
    version = upload_version(remote, pipeline, config)
    if as_json and not dry_run:
        say_json(asdict(version))
    elif not dry_run:
        done = "uploaded" if version.is_new else "is there already"
        page = f"pipelines/details/{version.pipeline_id}/version/{version.version_id}"
        say(f"{version.pipeline} {version.name}: {done}\n{remote.link(page)}")
    elif not version.is_new:
        say(f"# nothing to send: {version.pipeline} {version.name} is there already")


def version_name(path: Path) -> str:
    """Return the name of a compiled pipeline's version: equal names mean equal files."""
    return f"{__version__}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def upload_version(remote: Remote, pipeline: str, config: Config) -> Version:
    """Make sure that Kubeflow Pipelines has a compiled pipeline.

    Args:
        remote: The connection.
        pipeline: Which one of ``PIPELINES``.
        config: Holds what is fixed when it is compiled.

    Raises:
        RemoteError: It was refused.
        StorageError: It has not been compiled.
    """
    with _compiled(pipeline, config) as path:
        return _upload(remote, PIPELINES[pipeline], path)


@contextmanager
def _compiled(pipeline: str, config: Config) -> Iterator[Path]:
    """Give the pipeline's file: the one that is kept, where nothing else is to be compiled in."""
    kept, default = compiled_pipeline(pipeline), Config()
    same_secret = config.notify.secret == default.notify.secret
    if same_secret and config.cluster.compiled_in == default.cluster.compiled_in:
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / kept.name
        compile_pipeline(path, config)
        yield path


def _upload(remote: Remote, there: str, path: Path) -> Version:
    name = version_name(path)
    pipeline_id = _find_pipeline(remote, there)
    if pipeline_id is not None:
        with remote.doing("list the pipeline's versions"):
            versions = remote.client.list_pipeline_versions(
                pipeline_id, filter=equals("display_name", name)
            ).pipeline_versions
        if versions:
            version_id = versions[0].pipeline_version_id
            return Version(pipeline_id, version_id, there, name, is_new=False)
    # Kubeflow Pipelines does not show the description that the file holds
    description = str(read_pipeline(path)["pipelineInfo"].get("description", ""))
    if pipeline_id is None:
        pipeline_id = _create_pipeline(remote, there, description)
    made = remote.change(
        "upload the pipeline",
        remote.client.upload_pipeline_version,
        pipeline_package_path=str(path),
        pipeline_version_name=name,
        pipeline_id=pipeline_id,
        description=f"DAFTT {__version__}. {description}",
    )
    return Version(pipeline_id, made.pipeline_version_id if made else "", there, name, is_new=True)


def _find_pipeline(remote: Remote, name: str) -> str | None:
    with remote.doing("list the pipelines"):
        pipelines = remote.client.list_pipelines(
            namespace=remote.connection.namespace, filter=equals("display_name", name)
        ).pipelines
    return str(pipelines[0].pipeline_id) if pipelines else None


def _create_pipeline(remote: Remote, name: str, description: str) -> str:
    # not upload_pipeline: that would make a first version without a digest in its name
    made = remote.change(
        "create the pipeline",
        partial(_send_pipeline, remote),
        name=name,
        description=description,
        namespace=remote.connection.namespace or None,
    )
    return str(made.pipeline_id) if made else ""


def _send_pipeline(remote: Remote, name: str, description: str, namespace: str | None) -> Any:
    from kfp_server_api import V2beta1Pipeline

    pipeline: Any = V2beta1Pipeline(
        name=name, display_name=name, description=description, namespace=namespace
    )
    return remote.client.pipelines.pipeline_service_create_pipeline(pipeline=pipeline)
