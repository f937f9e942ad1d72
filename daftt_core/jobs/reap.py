"""Finding and removing jobs whose run is over: nobody waits for them any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.kinds import JobKind
from daftt_core.jobs.kubernetes import RefusedError
from daftt_core.jobs.ownership import orphaned
from daftt_core.jobs.pods import MANAGED_BY_LABEL, RUN_LABEL

_OVER = ("succeeded", "failed")
_SELECTOR = f"{MANAGED_BY_LABEL}=daftt"


@dataclass(frozen=True)
class FoundJob:
    """A job that DAFTT has made.

    Attributes:
        kind: Its kind.
        name: Its name.
        uid: Its identity.
        run: The run it belongs to.
        created: When it was made.
        phase: How it stands.
        orphaned: Why nobody waits for it; empty if somebody does, or if that cannot be told.
    """

    kind: JobKind
    name: str
    uid: str
    run: str
    created: str
    phase: str
    orphaned: str

    @property
    def has_ended(self) -> bool:
        """Whether it is over, well or not."""
        return self.phase in _OVER


def find_jobs(cluster: Cluster, kinds: list[JobKind], run: str = "") -> list[FoundJob]:
    """Return the jobs of DAFTT in the cluster's namespace, the oldest first.

    Args:
        cluster: The cluster.
        kinds: The kinds to look for; one that is not installed has no jobs.
        run: Only those of this run; empty: of all.

    Raises:
        JobError: Jobs or pods may not be read.
    """
    found = []
    for kind in kinds:
        for job in _jobs(cluster, kind):
            meta = job["metadata"]
            of_run = (meta.get("labels") or {}).get(RUN_LABEL, "")
            if run and run != of_run:
                continue
            phase = kind.state(job).phase
            found.append(
                FoundJob(
                    kind=kind,
                    name=meta["name"],
                    uid=meta["uid"],
                    run=of_run,
                    created=meta.get("creationTimestamp", ""),
                    phase=phase,
                    orphaned="" if phase in _OVER else orphaned(cluster, job),
                )
            )
    return sorted(found, key=lambda job: job.created)


def remove_job(cluster: Cluster, job: FoundJob) -> None:
    """Delete a job and its pods."""
    cluster.delete(job.kind, job.name, job.uid)


def _jobs(cluster: Cluster, kind: JobKind) -> list[dict[str, Any]]:
    try:
        return cluster.jobs(kind, _SELECTOR)
    except RefusedError as error:
        if error.status == 404:
            return []
        raise
