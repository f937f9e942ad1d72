"""What became of the pods of a pipeline's own steps, as an exit handler can tell."""

from __future__ import annotations

import os

from daftt_core.errors import JobError
from daftt_core.jobs.cluster import Cluster
from daftt_core.jobs.diagnosis import failed_pods, holdups
from daftt_core.jobs.kubernetes import Patience, connect
from daftt_core.telemetry import log

RUN_LABEL = "pipeline/runid"
"""Kubeflow Pipelines puts it on every pod of a run."""

_PATIENCE = Patience(total_seconds=10.0, unauthorized_seconds=0.0, read_seconds=10.0)
_SHOWN = 3


def why_steps_died() -> str:
    """Return what the cluster says of steps of this pod's run that failed or did not start.

    It is empty outside a cluster, and where nothing is known: the pods may not be listed, or
    nothing is wrong with them. A step that failed by its own program is among them.
    """
    name = os.environ.get("KFP_POD_NAME", "")
    if not name:
        return ""
    try:
        cluster = Cluster(connect(_PATIENCE))
        own = cluster.pod(name) or {}
        run = (own.get("metadata", {}).get("labels") or {}).get(RUN_LABEL)
        pods = cluster.pods(f"{RUN_LABEL}={run}") if run else []
    except JobError as error:
        log.debug("the pods of this run cannot be listed: %s", error)
        return ""
    others = [pod for pod in pods if pod["metadata"]["name"] != name]
    ends = [str(end) for end in failed_pods(others, "cluster_memory")]
    return "; ".join((holdups(others) + ends)[:_SHOWN])
