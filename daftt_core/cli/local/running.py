"""The mark of a run that is going on, so that others can tell it from one that was cut off.

The mark is a lock on a file: it goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["is_running", "marked_as_running"]


@contextmanager
def marked_as_running(folder: Path) -> Iterator[None]:
    """Mark the run in ``folder`` as going on."""
    path = _mark(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # shared: a second run of the same folder is no mistake
        yield


def is_running(folder: Path) -> bool:
    """Whether a process works on the run in ``folder`` at this moment."""
    try:
        with _mark(folder).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _mark(folder: Path) -> Path:
    return folder / ".locks" / ".running"
