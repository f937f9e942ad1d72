"""How a run ended, in the few words that a person wants to be told."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from daftt_core.stages import EVALUATION, PROMOTION, TRIGGER
from daftt_core.workspace import Run, read_result, run_statuses

Outcome = Literal[
    "succeeded", "no-gain", "promoted", "not-promoted", "not-trained", "failed", "test"
]
_SUCCEEDED = "SUCCEEDED"  # in the words of Kubeflow Pipelines


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


def ending_of(run: Run | None, state: str, message: str = "") -> Ending:
    """How a run ended.

    Args:
        run: The run; None when its settings make none.
        state: How it ended, in the words of Kubeflow Pipelines, such as ``SUCCEEDED``.
        message: What Kubeflow Pipelines says about a failure; may be empty.

    Raises:
        StorageError: The run cannot be read.
    """
    if run is None:
        why = message or "its settings make no run; the preflight says why"
        return Ending(outcome="failed", sentence=why)
    about = {"run": run.name, "task": run.task.id, "uri": run.uri}
    if state != _SUCCEEDED:
        failures = tuple(
            Failure(stage=each.stage, message=each.message, exit_code=each.exit_code)
            for each in run_statuses(run)
            if each.state == "failed"
        )
        said = "; ".join(f"stage {each.stage}: {each.message}" for each in failures)
        why = said or message or f"it ended as {state}, and no stage says why"
        return Ending(outcome="failed", sentence=why, failures=failures, **about)
    trigger = read_result(run, TRIGGER)
    if trigger and not trigger.train:
        return Ending(outcome="not-trained", sentence=trigger.reason, **about)
    evaluation, promotion = read_result(run, EVALUATION), read_result(run, PROMOTION)
    headline = evaluation.headline if evaluation else "it ended without an evaluation"
    if promotion:  # which model serves outranks whether synthetic examples helped
        outcome: Outcome = "promoted" if promotion.promoted else "not-promoted"
        return Ending(outcome=outcome, sentence=f"{headline} {promotion.reason}", **about)
    # proven better: the interval of the gain lies above 0
    gained = evaluation is None or (evaluation.chosen.gain_low or 0.0) > 0
    return Ending(outcome="succeeded" if gained else "no-gain", sentence=headline, **about)


def example_ending() -> Ending:
    """What is sent to try it out."""
    sentence = "This is a test of DAFTT's notifications; no run has ended."
    return Ending(outcome="test", sentence=sentence)
