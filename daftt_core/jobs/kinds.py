"""What all kinds of jobs have in common: how one is built, and how its state is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from daftt_core.jobs.requests import JobRequest

Phase = Literal["waiting", "suspended", "running", "succeeded", "failed"]


@dataclass(frozen=True)
class JobState:
    """How a job stands.

    Attributes:
        phase: ``waiting`` until its controller says more; ``suspended`` while it is queued.
        reason: The condition's reason, one word.
        message: The condition's message.
    """

    phase: Phase
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class JobKind:
    """A custom resource that runs jobs.

    Attributes:
        name: Its kind, such as ``PyTorchJob``.
        group: API group.
        version: API version.
        plural: Its name in paths.
        container: Name of the container the program runs in.
        provider: What must be installed in the cluster for it.
        first_pod: Labels of the pod whose log is shown.
        pod_maker: Kind of the object that makes the pods, and what its name has behind the job's;
            None where the job's own controller makes them.
        build: Makes the object.
        mistakes: What the cluster would refuse about an object.
        state: Reads an object's state.
    """

    name: str
    group: str
    version: str
    plural: str
    container: str
    provider: str
    first_pod: dict[str, str]
    pod_maker: tuple[str, str] | None
    build: Callable[[JobRequest], dict[str, Any]]
    mistakes: Callable[[dict[str, Any]], list[str]]
    state: Callable[[dict[str, Any]], JobState]


def read_state(
    job: dict[str, Any], success: str, *, suspended: bool, running: Callable[[set[str]], bool]
) -> JobState:
    """Return a job's state, from the conditions that hold now; the last one listed may not.

    Args:
        job: The object.
        success: The one condition that means success.
        suspended: Whether its settings hold it back.
        running: Whether it runs, given the types of the conditions that hold.
    """
    conditions = (job.get("status") or {}).get("conditions") or []
    true = {each["type"]: each for each in conditions if each.get("status") == "True"}
    phases: tuple[tuple[str, Phase], ...] = (
        ("Failed", "failed"),
        (success, "succeeded"),
        ("Suspended", "suspended"),
    )
    for condition, phase in phases:
        if condition in true:
            said = true[condition]
            return JobState(phase, said.get("reason", ""), said.get("message", ""))
    if suspended:
        return JobState("suspended")
    return JobState("running" if running(set(true)) else "waiting")
