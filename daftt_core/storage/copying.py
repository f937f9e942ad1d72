"""What copying many files to and from a bucket has in common, whatever the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed


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
