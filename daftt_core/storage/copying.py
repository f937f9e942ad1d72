"""What storages in buckets have in common, whatever the store: names, errors, many copies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from daftt_core.errors import StorageError
from daftt_core.network import Retry


class TransferError(Exception):
    """One object could not be copied; the cause says why.

    Attributes:
        name: The object's full name in its bucket.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class MissingError(Exception):
    """There is no such object, or it has another size than expected."""


class ChangedError(Exception):
    """The object was replaced or removed since the transfer began."""


def copy_each(
    names: Iterable[str],
    copy: Callable[[str], int],
    done: Callable[[int], None],
    workers: int,
) -> None:
    """Copy objects side by side; start no further copy after one that failed.

    Args:
        names: The objects.
        copy: Copies one and returns the bytes that moved; called in another thread.
        done: Called with these bytes in this thread, whose context the counters have.
        workers: How many are copied at once.

    Raises:
        TransferError: One failed; the cause says why.
    """
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(copy, name): name for name in names}
        for future in as_completed(futures):
            if error := future.exception():
                pool.shutdown(wait=False, cancel_futures=True)
                raise TransferError(futures[future]) from error
            done(future.result())


@dataclass(frozen=True)
class ObjectPatience(Retry):
    """How long to keep trying; an object is given up at the deadline.

    Attributes:
        deadline_seconds: Deadline of an object, and of every single request.
        request_seconds: How long one request may be silent.
    """

    deadline_seconds: float = 600.0
    request_seconds: float = 60.0


class BucketStorage(ABC):
    """Objects below a prefix of a bucket.

    Args:
        uri: ``<scheme>://bucket`` or ``<scheme>://bucket/prefix``.
        workers: How many requests run at once.

    Attributes:
        folder: None: the objects are on no file system of this machine.

    Raises:
        StorageError: The URI names no bucket.
    """

    scheme: ClassVar[str]

    def __init__(self, uri: str, workers: int) -> None:
        bucket, _, prefix = uri.removeprefix(f"{self.scheme}://").partition("/")
        if not bucket:
            raise StorageError(f"{uri}: names no bucket; it must be {self.scheme}://bucket/prefix")
        self._bucket_name, self._prefix = bucket, prefix.strip("/")
        self.uri = f"{self._root}/{self._prefix}".rstrip("/")
        self.folder = None
        self._workers = workers

    def upload(self, folder: Path, names: Sequence[str], prefix: str) -> None:
        """Store files in parallel, each checked by its digest."""
        with self._explained(prefix.rstrip("/"), writing=True):
            self._transfer.upload(folder, names, self._full(prefix))

    def download(self, prefix: str, sizes: Mapping[str, int], folder: Path) -> None:
        """Fetch objects in parallel, large ones in ranges; ranges on the disk are kept."""
        with self._explained(prefix.rstrip("/")):
            self._transfer.download(self._full(prefix), sizes, folder)

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects, several at once."""

        def remove(name: str) -> None:
            with self._explained(name, writing=True):
                self._delete(name)

        with ThreadPoolExecutor(self._workers) as pool:
            list(pool.map(remove, names))

    @property
    def _root(self) -> str:
        return f"{self.scheme}://{self._bucket_name}"

    def _full(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @property
    @abstractmethod
    def _transfer(self) -> Any:
        """Return what copies files, with ``upload`` and ``download``."""

    @abstractmethod
    def _delete(self, name: str) -> None:
        """Remove an object that may be there."""

    @abstractmethod
    def _explained(self, name: str, *, writing: bool = False) -> AbstractContextManager[None]:
        """Turn the client's errors into a sentence about an object."""
