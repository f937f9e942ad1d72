"""``daftt doctor``: what is missing, on this machine or in a cluster, and what fixes it."""

from __future__ import annotations

from pathlib import Path

import click

from daftt_core.cli.checks import show_checks
from daftt_core.cli.cluster.doctor import Target, cluster_checks
from daftt_core.cli.local.doctor import machine_checks
from daftt_core.cli.settings import read_config


@click.command("doctor", short_help="Check that everything a run needs is in place.")
@click.option("--cluster", is_flag=True, help="Look at a cluster instead of this machine.")
@click.option(
    "--namespace",
    default="kubeflow",
    show_default=True,
    envvar="DAFTT_KFP_NAMESPACE",
    show_envvar=True,
    help="With --cluster: where the pods run.",
)
@click.option(
    "--service-account",
    default="",
    envvar="DAFTT_KFP_SERVICE_ACCOUNT",
    show_envvar=True,
    help="With --cluster: as whom they run; empty: your own rights are looked at.",
)
@click.option("--queue", default="", help="With --cluster: Kueue's queue that jobs go to.")
@click.option("--output", help="With --cluster: the storage prefix to try.")
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --cluster: YAML file of the run's settings, for its GPUs, secrets and storage.",
)
@click.option(
    "--preset", metavar="NAME", multiple=True, help="With --cluster: the presets of that run."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(
    cluster: bool,
    namespace: str,
    service_account: str,
    queue: str,
    output: str | None,
    settings_file: Path | None,
    preset: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check that everything a run needs is in place; exit code 1 when something is missing.

    \b
    Examples:
      daftt doctor
      daftt doctor --json
      daftt doctor --cluster --output gs://my-bucket/daftt --service-account pipeline-runner
    """
    if cluster:
        config = read_config(settings_file, {"output": output, "preset": preset})
        checks = cluster_checks(Target(config, namespace, service_account, queue))
    else:
        checks = machine_checks()
    return 0 if show_checks(checks, as_json=as_json) else 1
