"""One process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from daftt_core.errors import StorageError
from daftt_core.telemetry import log

__all__ = ["exclusively"]


@contextmanager
def exclusively(path: Path, what: str) -> Iterator[None]:
    """Do something that no other process does at the same time; wait for it if one does.

    Args:
        path: The lock file; it stays. The lock goes with the process, however that ends.
        what: What is worked on, for the message that says what is waited for.

    Raises:
        StorageError: The lock file cannot be created.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: another process is working on it; waiting for it to finish", what)
            lock.acquire()
    except OSError as error:
        raise StorageError(f"{path}: cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
