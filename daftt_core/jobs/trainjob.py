"""TrainJob, the custom resource of Kubeflow Trainer (v2)."""

from __future__ import annotations

from typing import Any

from daftt_core.jobs.kinds import JobKind, JobState, read_state
from daftt_core.jobs.pods import environment, metadata, name_mistakes, pod_template, resources
from daftt_core.jobs.requests import JobRequest

_CONTAINER = "node"
_JOB = "node"
_MANAGER = "daftt/launcher"


def trainjob(request: JobRequest) -> dict[str, Any]:
    """Return the TrainJob for a request.

    A TrainJob has no time to live after its end, unlike a PyTorchJob: it goes with the workflow
    that owns it, or with ``daftt reap``.
    """
    config = request.config
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": metadata(request),
        "spec": {
            "runtimeRef": {
                "apiGroup": "trainer.kubeflow.org",
                "kind": "ClusterTrainingRuntime",
                "name": config.runtime,
            },
            "trainer": {
                "image": request.image,
                "command": request.command(),
                "env": environment(request),
                "numNodes": config.nodes,
                "numProcPerNode": request.processes_per_node,
                "resourcesPerNode": resources(request),
            },
            "runtimePatches": [
                {
                    "manager": _MANAGER,
                    "trainingRuntimeSpec": {
                        "template": {"spec": {"replicatedJobs": [_replicated_job(request)]}}
                    },
                }
            ],
            "activeDeadlineSeconds": config.deadline_seconds,
            "suspend": bool(config.queue),
        },
    }


def trainjob_mistakes(manifest: dict[str, Any]) -> list[str]:
    """Return what Kubeflow Trainer's webhook refuses."""
    mistakes = name_mistakes(manifest)
    if not manifest["spec"]["trainer"].get("image"):
        mistakes.append("spec.trainer.image: is missing")
    return mistakes


def _replicated_job(request: JobRequest) -> dict[str, Any]:
    # the webhook refuses image, command and env here: they belong into spec.trainer
    pod = pod_template(request, {"name": _CONTAINER})
    return {"name": _JOB, "template": {"spec": {"template": pod}}}


def _state(job: dict[str, Any]) -> JobState:
    jobs = (job.get("status") or {}).get("jobsStatus") or []
    return read_state(
        job,
        "Complete",
        suspended=bool(job["spec"].get("suspend")),
        running=lambda _: any(each.get("ready") for each in jobs),
    )


TRAINJOB = JobKind(
    name="TrainJob",
    group="trainer.kubeflow.org",
    version="v1alpha1",
    plural="trainjobs",
    container=_CONTAINER,
    provider="Kubeflow Trainer",
    first_pod={
        "jobset.sigs.k8s.io/replicatedjob-name": _JOB,
        "batch.kubernetes.io/job-completion-index": "0",
    },
    pod_maker=("Job", f"-{_JOB}-0"),
    build=trainjob,
    mistakes=trainjob_mistakes,
    state=_state,
)
