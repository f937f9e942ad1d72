"""``daftt stop``: end a run on a cluster, and its training jobs."""

from __future__ import annotations

import click

from daftt_core.cli.cluster.connection import Connection, with_connection
from daftt_core.cli.cluster.remote import ENDED, Remote, connect, state_of
from daftt_core.cli.cluster.remote_runs import find_run, runs_of
from daftt_core.cli.printing import say
from daftt_core.errors import DafttError, JobError
from daftt_core.records import visible_line
from daftt_core.storage import open_storage
from daftt_core.workspace import Run, mark_stopped

_REASON = "stopped by daftt stop; submit the run again to resume it"


@click.command("stop")
@click.argument("run")
@with_connection
def stop_command(run: str, connection: Connection) -> None:
    """Stop RUN: an id, or a name as 'daftt runs --remote' lists it.

    Kubeflow Pipelines ends its pods at once. Its training jobs are deleted with the kubeconfig's
    rights: a teacher stores a checkpoint first. The run's folder says that it was stopped. Submit
    it again to resume it.

    \b
    Examples:
      daftt stop movie-reviews-1a2b3c4d
    """
    remote = connect(connection)
    found = find_run(remote, run)
    name = visible_line(found.display_name)
    state = state_of(found)
    if state in ENDED:
        say(f"{name}: has ended already ({state.lower()})")
    else:
        remote.change("stop the run", remote.client.terminate_run, run_id=found.run_id)
        say(f"{name}: stopped")
    say(remote.run_link(found.run_id))
    try:
        runs = [part.run for part in runs_of(found)]
    except DafttError as error:
        say(visible_line(f"# which folder it has is not known: {error}"))
        return
    for one in runs:
        _remove_jobs(remote, one)
        _mark(one)


def _remove_jobs(remote: Remote, run: Run) -> None:
    from daftt_core.jobs import KINDS, connect_to_steps
    from daftt_core.jobs.pods import label_value
    from daftt_core.jobs.reap import find_jobs, remove_job

    try:
        cluster = connect_to_steps(remote.pod_namespace)
        jobs = find_jobs(cluster, list(KINDS.values()), label_value(run.name))
        for job in jobs:
            if not job.has_ended:
                remove_job(cluster, job)
                say(f"{job.kind.name} {job.name}: deleted")
    except JobError as error:
        say(visible_line(f"# its training jobs are not looked at: {error}; see: daftt reap"))


def _mark(run: Run) -> None:
    try:
        mark_stopped(open_storage(run.uri), _REASON)
    except DafttError as error:
        say(visible_line(f"# its folder does not say so: {error}"))
