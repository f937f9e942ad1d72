"""How long a remote is waited for: one deadline over a call, and the pauses between attempts."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

__all__ = ["growing_pauses", "pause_asked_for", "within"]

_jitter = random.Random()  # noqa: S311 - no secret; its own, as the global one is seeded for a run
_LONGEST_PAUSE_ASKED_FOR = 120.0
"""Seconds; a server that asks for more is treated as one that asks for this."""

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Do something that must be over after some time, whatever it waits for.

    The time limits of HTTP libraries hold between two bytes, so that a server that sends one now
    and then would be waited for without end. What is not over in time is left to itself, in a
    thread that ends with the process.

    Args:
        seconds: How long it may take.
        work: What is done; it runs in another thread with this one's context.

    Raises:
        TimeoutError: It took longer. Whatever ``work`` raises is raised, too.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    context = copy_context()

    def run() -> None:
        try:
            results.append(context.run(work))
        except BaseException as error:  # raised below, where it is waited for
            errors.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(max(0.0, min(seconds, threading.TIMEOUT_MAX)))
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"it has not answered in full after {seconds:.0f} seconds")
    return results[0]


def growing_pauses(first_seconds: float, longest_seconds: float) -> Iterator[float]:
    """Pauses in seconds between attempts, without end.

    Their bound doubles, and each is cut at random so that many who wait do not come back at once
    (full jitter, as in "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Args:
        first_seconds: Bound of the first.
        longest_seconds: Bound of every one.
    """
    bound = first_seconds
    while True:
        yield _jitter.uniform(0, bound)
        bound = min(2 * bound, longest_seconds)


def pause_asked_for(text: str | None) -> float:
    """The pause in seconds that a Retry-After header asks for, at most two minutes; 0 for none.

    Args:
        text: The header: seconds, or a date (RFC 9110, section 10.2.3).
    """
    text = (text or "").strip()
    try:
        if text.isdecimal():
            return min(float(text), _LONGEST_PAUSE_ASKED_FOR)
        left = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, left), _LONGEST_PAUSE_ASKED_FOR)
