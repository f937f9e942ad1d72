"""Requests for jobs, for tests."""

from __future__ import annotations

from daftt_core.config import JobConfig
from daftt_core.jobs import JobRequest
from daftt_core.jobs.requests import StepPod

__all__ = ["job_request"]


def job_request(
    *, step: StepPod | None = None, run: str = "Demo_run-1", **config: object
) -> JobRequest:
    """A request whose settings are ``config``."""
    return JobRequest(
        run=run,
        stage="teacher",
        program=("-c", "print('hello, \"world\"')"),
        config=JobConfig.model_validate({"launcher": "pytorchjob", **config}),
        image="registry.example/train:1",
        step=step,
    )
