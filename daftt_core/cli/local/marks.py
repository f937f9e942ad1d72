"""Marks in a run's folder on this machine: that it is at work, and why its last attempt failed.

A run that is at work holds a lock on a file, which tells it from one that was cut off: the lock
goes with the process, however that ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daftt_core.errors import StorageError
from daftt_core.records import write_text

_FAILURE = ".failure"


@contextmanager
def marked_as_running(folder: Path) -> Iterator[None]:
    """Mark the run in ``folder`` as running."""
    path = _lock_file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # shared: a second run of the same folder is no mistake
        yield


def is_running(folder: Path) -> bool:
    """Return whether a process works on the run in ``folder`` now."""
    try:
        with _lock_file(folder).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock_file(folder: Path) -> Path:
    return folder / ".locks" / ".running"


def note_failure(folder: Path, reason: str) -> None:
    """Note why an attempt at the run in ``folder`` failed.

    Raises:
        OSError: The folder cannot be written.
    """
    write_text(folder / _FAILURE, reason)


def forget_failure(folder: Path) -> None:
    """Forget why the run in ``folder`` failed, before another attempt.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        (folder / _FAILURE).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror}") from None


def last_failure(folder: Path) -> str:
    """Return why the last attempt at the run in ``folder`` failed; empty if it did not."""
    try:
        return (folder / _FAILURE).read_text(encoding="utf-8")
    except OSError:
        return ""
