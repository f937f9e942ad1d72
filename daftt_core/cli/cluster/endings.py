"""How far a run on a cluster is, and how it ended, as its own folder tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from daftt_core.cli.cluster.remote import ENDED, state_of
from daftt_core.cli.cluster.remote_runs import RunPart, runs_of
from daftt_core.cli.printing import say
from daftt_core.errors import DafttError, StorageError
from daftt_core.network.retry import within
from daftt_core.notifications import Ending, ending_of
from daftt_core.records import visible_line
from daftt_core.workspace import Run, StageStatus, run_statuses

_PATIENCE_SECONDS = 30.0  # a person waits; a stage waits longer for its bucket
_LATE_SECONDS = 60.0  # a stage may say that it was stopped when the run is over
_READERS = 8
T = TypeVar("T")
_STOPPED = "it was stopped in Kubeflow Pipelines"


def part_statuses(part: RunPart) -> list[StageStatus]:
    """Return the status of every stage that is in the folder of a run, oldest change first.

    Raises:
        StorageError: The folder cannot be read from here, or not in time.
    """
    return in_time(part.run, partial(run_statuses, part.run))


def in_time(run: Run, read: Callable[[], T]) -> T:
    """Return what is read from the folder of a run, for which a person waits.

    Raises:
        StorageError: It takes too long, or cannot be read.
    """
    try:
        return within(_PATIENCE_SECONDS, read)
    except TimeoutError as error:
        raise StorageError(f"{run.uri}: {error}") from None


def attempt_of(run: Any, statuses: Sequence[StageStatus]) -> str:
    """Return the attempt that a run in Kubeflow Pipelines is; empty where no stage tells.

    Args:
        run: The run, as Kubeflow Pipelines returns it.
        statuses: Those in its folder, which other runs may have written, too.
    """
    over = run.state in ENDED and run.finished_at
    last = run.finished_at.timestamp() + _LATE_SECONDS if over else math.inf
    for status in statuses:
        if status.attempt and run.created_at.timestamp() <= status.updated <= last:
            return status.attempt
    return ""


def part_ending(
    run: Any, part: RunPart, statuses: list[StageStatus], message: str = ""
) -> Ending | None:
    """Return how a run that is over ended; None where only other runs have left something.

    Args:
        run: The run, as Kubeflow Pipelines returns it.
        part: The run that it worked on, or a sweep's cell.
        statuses: Those in its folder.
        message: What the cluster says about a failure; may be empty.

    Raises:
        StorageError: The folder cannot be read.
    """
    attempt = attempt_of(run, statuses)
    if not attempt and any(status.attempt for status in statuses):
        return None
    state = state_of(run)
    return ending_of(
        part.run,
        state,
        message or kubeflows_message(run) or (_STOPPED if state == "CANCELED" else ""),
        promotes=part.config.promotion.enabled,
        attempt=attempt,
        statuses=statuses,
    )


def kubeflows_message(run: Any) -> str:
    """Return what Kubeflow Pipelines says about an error of a run; mostly it says nothing."""
    return str((run.error and run.error.message) or "")


def reasons_of(runs: Sequence[Any]) -> list[str]:
    """Return why each of several runs ended early; empty for the others, and where none is known.

    A folder that cannot be read is said once, and no other is tried after it.

    Args:
        runs: Runs, as Kubeflow Pipelines returns them.
    """
    unread: list[DafttError] = []

    def reason(run: Any) -> str:
        if run.state not in ("FAILED", "CANCELED") or unread:
            return ""
        try:
            return _reason(run)
        except StorageError as error:
            unread.append(error)
        except DafttError:  # not one of ours, or of another version
            return ""
        return ""

    with ThreadPoolExecutor(_READERS) as pool:
        reasons = list(pool.map(reason, runs))
    if unread:
        say(visible_line(f"# why runs ended is not read: {unread[0]}"), err=True)
    return reasons


def _reason(run: Any) -> str:
    sentences = []
    for part in runs_of(run):
        ending = part_ending(run, part, part_statuses(part))
        if ending and ending.outcome == "failed":
            sentences.append(f"{part.name}: {ending.sentence}" if part.name else ending.sentence)
    return "; ".join(sentences)
