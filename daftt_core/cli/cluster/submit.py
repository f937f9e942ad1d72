"""``daftt submit``: the whole pipeline, or a sweep of it, on a cluster."""

from __future__ import annotations

import time
from typing import Any

import click

from daftt_core.cli.cluster.order import Order, place_order, with_order
from daftt_core.cli.cluster.remote import ENDED, Remote, equals, state_of
from daftt_core.cli.printing import say, say_json
from daftt_core.cli.settings import SettingsCommand
from daftt_core.errors import RemoteError
from daftt_core.records import visible_line

_POLL_SECONDS = 10.0
_ALIVE = ("PENDING", "RUNNING", "PAUSED", "SUCCEEDED")


@click.command("submit", cls=SettingsCommand)
@with_order
@click.option("--again", is_flag=True, help="Start it even if the same run is there already.")
@click.option("--wait", is_flag=True, help="Wait for its end; exit code 10 if it failed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def submit_command(dry_run: bool, again: bool, wait: bool, as_json: bool, **given: Any) -> None:
    """Start the whole pipeline in Kubeflow Pipelines.

    The pipeline is uploaded first, if it is not there. A run with the same settings that is in
    progress or has succeeded is not started twice; one that failed is started again and resumes
    where it stopped.

    \b
    Examples:
      daftt submit --host http://localhost:8888 --output gs://my-bucket/daftt
      daftt submit --settings my-settings.yaml --cluster-gpus 1 --dry-run
      daftt submit --pipeline sweep --fractions 0.01,0.1 --output gs://my-bucket/daftt
    """
    order = place_order(dry_run=dry_run, **given)
    run = None if again or order.version.is_new else _find(order)
    started = run is None
    if run is None:
        run = order.remote.change(
            "start the run",
            order.remote.client.run_pipeline,
            experiment_id=order.experiment_id,
            job_name=order.name,
            params=order.parameters,
            pipeline_id=order.version.pipeline_id,
            version_id=order.version.version_id,
            service_account=order.service_account or None,
        )
    if run is None:  # a dry run
        return
    _tell(order, run, started=started, dry_run=dry_run, as_json=as_json)
    if wait and not dry_run:
        _wait(order.remote, run.run_id)


def _wait(remote: Remote, run_id: str) -> None:
    """Wait until a run has ended.

    Raises:
        RemoteError: It did not succeed.
    """
    state = ""
    while True:
        with remote.doing("read the run"):
            run = remote.client.get_run(run_id)
        if state_of(run) != state:
            state = state_of(run)
            say(f"{visible_line(run.display_name)}: {state.lower()}", err=True)
        if state in ENDED:
            break
        time.sleep(_POLL_SECONDS)
    if state != "SUCCEEDED":
        raise RemoteError(
            f"{run.display_name}: {state.lower()}; for the reason: daftt status {run_id}"
        )


def _tell(order: Order, run: Any, *, started: bool, dry_run: bool, as_json: bool) -> None:
    name, link = order.name, order.remote.run_link(run.run_id)
    if as_json and not dry_run:
        answer = {"run_id": run.run_id, "name": name, "started": started, "link": link}
        say_json(answer)
    elif started:
        say(f"{name}: started as {run.run_id}\n{link}")
    else:
        say(f"# nothing to send: {name} is there as {run.run_id} ({run.state}); see --again")


def _find(order: Order) -> Any:
    """Return the newest equal run that is in progress or has succeeded; None if there is none."""
    with order.remote.doing("list the runs"):
        runs = order.remote.client.list_runs(
            experiment_id=order.experiment_id,
            sort_by="created_at desc",
            page_size=50,
            filter=equals("display_name", order.name),
        ).runs
    for run in runs or []:
        reference, runtime = run.pipeline_version_reference, run.runtime_config
        if (
            run.state in _ALIVE
            and reference
            and reference.pipeline_version_id == order.version.version_id
            and runtime
            and runtime.parameters == order.parameters
        ):
            return run
    return None
