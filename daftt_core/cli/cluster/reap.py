"""``daftt reap``: list and remove the cluster's training jobs that nobody waits for any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daftt_core.cli.printing import say, say_json
from daftt_core.records import visible_line

if TYPE_CHECKING:
    from daftt_core.jobs.reap import FoundJob


@click.command("reap")
@click.option("--namespace", default="", help="Namespace; that of the kubeconfig if not given.")
@click.option("--run", "run_name", default="", help="Only the jobs of this run.")
@click.option(
    "--all", "everything", is_flag=True, help="Remove jobs too whose run is at work or unknown."
)
@click.option(
    "--finished", is_flag=True, help="Remove jobs that have ended, too: a quota counts them."
)
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reap_command(
    namespace: str, run_name: str, everything: bool, finished: bool, dry_run: bool, as_json: bool
) -> int:
    """List the training jobs that DAFTT has made in a cluster, and remove the orphans.

    A job is an orphan when it is not over but its run is, as after a run was terminated, or when no
    step has waited for it for half an hour. The cluster is the one that KUBECONFIG names.

    \b
    Examples:
      daftt reap --dry-run
      daftt reap --namespace kubeflow-user
      daftt reap --run movie-reviews-0f3a --all
    """
    from daftt_core.jobs import KINDS
    from daftt_core.jobs.cluster import Cluster
    from daftt_core.jobs.kubernetes import connect
    from daftt_core.jobs.reap import find_jobs, remove_job

    cluster = Cluster(connect(), namespace)
    found = find_jobs(cluster, list(KINDS.values()), run_name)
    doomed = [job for job in found if everything or job.orphaned or (finished and job.has_ended)]
    if not dry_run:
        for job in doomed:
            remove_job(cluster, job)
    fate = "would be removed" if dry_run else "removed"
    rows = [(job, fate if job in doomed else "kept") for job in found]
    if as_json:
        say_json([_fields(job, what) for job, what in rows])
    elif rows:
        for job, what in rows:
            say(visible_line(_line(job, what)))
    else:
        say(f"There is no job of DAFTT in namespace {cluster.namespace}.")
    return 0


def _fields(job: FoundJob, fate: str) -> dict[str, str]:
    return {
        "kind": job.kind.name,
        "name": job.name,
        "run": job.run,
        "created": job.created,
        "state": job.phase,
        "orphaned": job.orphaned,
        "fate": fate,
    }


def _line(job: FoundJob, fate: str) -> str:
    why = f" ({job.orphaned})" if job.orphaned else ""
    return f"{fate:<17} {job.kind.name} {job.name}, {job.phase}, made {job.created}{why}"
