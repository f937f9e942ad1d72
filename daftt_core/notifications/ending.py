"""How a run ended, in the few words that a person wants to be told."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

from daftt_core.stages import EVALUATION, PROMOTION, REPORT, TRIGGER, last_stages
from daftt_core.workspace import Run, StageStatus, read_result, run_statuses

Outcome = Literal[
    "succeeded", "no-gain", "promoted", "not-promoted", "not-trained", "failed", "test"
]
TITLES: dict[Outcome, str] = {
    "succeeded": "A run succeeded",
    "no-gain": "A run ended without a proven gain",
    "promoted": "A run ended and its student is the new champion",
    "not-promoted": "A run ended and its student was not promoted",
    "not-trained": "A run ended without a reason to train",
    "failed": "A run failed",
    "test": "A test message",
}
"""What is said of each outcome before anything else."""

_WENT_WELL = ("SUCCEEDED", "COMPLETE", "CACHED")
"""What an exit handler is told of a run that went well.

kfp.local says SUCCEEDED. The driver of Kubeflow Pipelines 2.17 hands on the state in its metadata
store (backend/src/v2/driver/resolve.go, line 472): COMPLETE, CACHED, FAILED, or RUNNING where a pod
died.
"""


class Failure(BaseModel):
    """Why a stage failed, in its own sentence, and the exit code of its error."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    stage: str
    message: str
    exit_code: int


class Ending(BaseModel):
    """What is told of a run that has ended.

    Attributes:
        outcome: ``promoted`` where the run's student has become the champion, ``not-promoted``
            where it has not; without promotion ``succeeded``, or ``no-gain`` where synthetic
            examples were not proven to help; ``not-trained`` where there was no reason to train;
            ``failed``; ``test`` for a trial message.
        run: The run's name; empty where its settings make none.
        task: The task's name.
        uri: Where the run is.
        sentence: The result, or why there is none.
        failures: What failed.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    outcome: Outcome
    run: str = ""
    task: str = ""
    uri: str = ""
    sentence: str = ""
    failures: tuple[Failure, ...] = ()


def ending_of(
    run: Run | None,
    state: str,
    message: str = "",
    *,
    promotes: bool = False,
    attempt: str = "",
    statuses: list[StageStatus] | None = None,
) -> Ending:
    """Return how a run ended, judged by what its stages left.

    A failed stage makes a failed run, and a run whose last stages have finished succeeded, whatever
    ``state`` says. It decides where the stages leave it open: stages of the same folder may have
    been left by an earlier attempt, and a pod that dies before its program starts (for its image, a
    quota, a node) leaves nothing.

    Args:
        run: The run; None when its settings make none.
        state: How it ended in the words of Kubeflow Pipelines, such as ``COMPLETE``.
        message: What the cluster says about a failure; may be empty.
        promotes: Whether promotion is among the run's last stages.
        attempt: The run in Kubeflow Pipelines that has ended; empty if that is not known.
        statuses: Those of the run's stages; None reads them.

    Raises:
        StorageError: The run cannot be read.
    """
    if run is None:
        return Ending(outcome="failed", sentence=message or "its settings make no run")
    about = {"run": run.name, "task": run.task.id, "uri": run.uri}
    if statuses is None:
        statuses = run_statuses(run)
    statuses = _of_attempt(statuses, attempt)
    failures = tuple(
        Failure(stage=status.stage, message=status.message, exit_code=status.exit_code)
        for status in statuses
        if status.state == "failed"
    )
    if failures and (attempt or state not in _WENT_WELL):
        why = "; ".join(f"stage {failure.stage}: {failure.message}" for failure in failures)
        return Ending(outcome="failed", sentence=why, failures=failures, **about)
    if state not in _WENT_WELL and not _came_to_its_end(run, statuses, promotes, attempt):
        why = message or f"it ended as {state}, and no stage says why; see the events of its pods"
        place = f"{_dead_step(statuses)}: " if attempt else ""
        return Ending(outcome="failed", sentence=f"{place}{why}", **about)
    trigger = read_result(run, TRIGGER)
    if trigger and not trigger.train:
        return Ending(outcome="not-trained", sentence=trigger.reason, **about)
    return _result(run, about, promotes=promotes or not attempt)


def _came_to_its_end(run: Run, statuses: list[StageStatus], promotes: bool, attempt: str) -> bool:
    """Tell whether the attempt's last stages have finished."""
    done = {status.stage for status in statuses if status.state == "done"}
    trigger = read_result(run, TRIGGER) if TRIGGER.name in done else None
    last = last_stages(promotes=promotes) if trigger is None or trigger.train else (REPORT,)
    return bool(attempt) and all(stage.name in done for stage in last)


def _of_attempt(statuses: list[StageStatus], attempt: str) -> list[StageStatus]:
    """Return the statuses that an attempt changed; all of them where it is not known.

    A job of several pods does not know its attempt: what it changed since the first stage counts.
    """
    if not attempt:
        return statuses
    begun = min((each.updated for each in statuses if each.attempt == attempt), default=math.inf)
    return [
        each
        for each in statuses
        if each.attempt == attempt or (not each.attempt and each.updated >= begun)
    ]


def _dead_step(statuses: list[StageStatus]) -> str:
    """Return where a run broke off of which no stage says why it failed."""
    cut_off = [status.stage for status in statuses if status.state == "running"]
    if cut_off:
        place = f"stage {', '.join(cut_off)} was cut off in its work"
    elif statuses:
        place = f"the step after stage {statuses[-1].stage} failed"
    else:
        place = "its first step failed"
    return place


def _result(run: Run, about: dict[str, str], *, promotes: bool) -> Ending:
    evaluation = read_result(run, EVALUATION)
    promotion = read_result(run, PROMOTION) if promotes else None
    headline = evaluation.headline if evaluation else "it ended without an evaluation"
    if promotion:  # which model serves outranks whether synthetic examples helped
        outcome: Outcome = "promoted" if promotion.promoted else "not-promoted"
        return Ending(outcome=outcome, sentence=f"{headline} {promotion.reason}", **about)
    # proven better: the interval of the gain lies above 0
    gained = evaluation is None or (evaluation.chosen.gain_low or 0.0) > 0
    return Ending(outcome="succeeded" if gained else "no-gain", sentence=headline, **about)


def example_ending() -> Ending:
    """Return what is sent to try it out."""
    sentence = "This is a test of DAFTT's notifications; no run has ended."
    return Ending(outcome="test", sentence=sentence)
