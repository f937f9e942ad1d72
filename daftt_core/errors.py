"""Every error a user can cause, and the exit code each one ends the process with.

    DafttError                1   anything below, when nothing more exact fits
    ├── ConfigError           2   a parameter or a configuration file
    ├── TaskError             2   a task that is unknown or badly described
    ├── DataError             3   a data file, a row, a label, a split
    ├── ModelError            4   a model that is missing, incomplete or does not fit the task
    ├── StorageError          5   a file, folder or bucket that cannot be read, written or trusted
    │   └── BusyError         6   another process is working in the same folder
    ├── TrainingError         7   training that diverged or could not continue
    ├── GateError             8   the teacher did not pass its gate and the run was told to stop
    ├── JobError              9   a job that failed, or a cluster that cannot be used
    ├── RemoteError          10   Kubeflow Pipelines or Kubernetes cannot be reached, or refuses
    └── StoppedError        143   told to end (SIGTERM); the next attempt resumes the work

A message is one sentence, or one for each mistake: the field, file and line or object, its value,
the allowed values, and, where it helps, what to do. Stack traces are for faults of DAFTT.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BusyError",
    "ConfigError",
    "DafttError",
    "DataError",
    "GateError",
    "JobError",
    "ModelError",
    "RemoteError",
    "StoppedError",
    "StorageError",
    "TaskError",
    "TrainingError",
    "did_you_mean",
    "shortened",
]

_MOST_SHOWN = 60  # characters


class DafttError(Exception):
    """A mistake or a failure that its message explains fully."""

    exit_code = 1


class ConfigError(DafttError):
    """One or more parameters are wrong."""

    exit_code = 2


class TaskError(DafttError):
    """A task is unknown or its description is wrong."""

    exit_code = 2


class DataError(DafttError):
    """A data file cannot be used as it is."""

    exit_code = 3


class ModelError(DafttError):
    """A model cannot be loaded or does not fit the task."""

    exit_code = 4


class StorageError(DafttError):
    """Something stored is missing, damaged, or cannot be written."""

    exit_code = 5


class BusyError(StorageError):
    """Another process holds what this one needs."""

    exit_code = 6


class TrainingError(DafttError):
    """Training diverged or could not continue."""

    exit_code = 7


class GateError(DafttError):
    """The teacher is not good enough and ``on_gate_fail`` says to stop."""

    exit_code = 8


class JobError(DafttError):
    """A job in the cluster failed, or the cluster refused a request."""

    exit_code = 9


class RemoteError(DafttError):
    """Kubeflow Pipelines or Kubernetes cannot be reached, or refuses."""

    exit_code = 10


class StoppedError(DafttError):
    """This process was told to end and did so cleanly; another attempt resumes its work.

    The code is the one that a process ended by SIGTERM has in a container.
    """

    exit_code = 143


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion for a mistyped word.

    Args:
        word: The word.
        known: The allowed words.

    Returns:
        ``"; did you mean 'x'?"``, or an empty string when nothing known is close.
    """
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def shortened(text: str) -> str:
    """Return a text for a message: at most 60 characters of it."""
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
