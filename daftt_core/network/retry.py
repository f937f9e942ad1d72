"""Deadlines and retries of calls to remotes: one deadline over a call, and pauses until then."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    stop_never,
    wait_exponential,
)

_log = logging.getLogger("daftt.network")
_jitter = random.Random()  # noqa: S311 - no secret; its own, as the global one is seeded for a run
_LONGEST_REQUESTED_PAUSE = 120.0
"""Seconds; a server that requests more is treated as one that requests this."""

T = TypeVar("T")


class TransientError(Exception):
    """A remote failed in a way that may pass; each client decides which failures those are.

    Args:
        message: How it failed.
        pause_seconds: The least pause that the remote requests.
    """

    def __init__(self, message: str, pause_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds


@dataclass(frozen=True)
class Retry:
    """How often and how long a call to a remote is tried.

    The bound of the pauses doubles, and each pause is drawn between 0 and its bound, so that many
    clients do not come back at once (full jitter, as in "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015). No pause is shorter than the remote requests.

    Attributes:
        deadline_seconds: From the first attempt on; no attempt begins after it.
        first_pause_seconds: Bound of the first pause.
        longest_pause_seconds: Bound of every pause that the remote does not request.
        attempts: The largest number of attempts; None for as many as the deadline allows.
        sleep: Waits for some seconds.
    """

    deadline_seconds: float = math.inf
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    attempts: int | None = None
    sleep: Callable[[float], None] = time.sleep

    def call(self, attempt: Callable[[float], T], on: type[TransientError] = TransientError) -> T:
        """Call a function, and again while it fails in a way that may pass.

        Args:
            attempt: The function; it takes the seconds that are left until the deadline.
            on: The errors after which there is another attempt.

        Raises:
            TransientError: The last attempt failed. Other errors of ``attempt`` are raised at once.
        """
        give_up = time.monotonic() + self.deadline_seconds
        enough = stop_never if self.attempts is None else stop_after_attempt(self.attempts)
        retrying = Retrying(
            retry=retry_if_exception_type(on),
            stop=stop_before_delay(self.deadline_seconds) | enough,
            wait=self._pause,
            sleep=self.sleep,
            before_sleep=_log_pause,
            reraise=True,
        )
        return retrying(lambda: attempt(give_up - time.monotonic()))

    def _pause(self, state: RetryCallState) -> float:
        # not tenacity's own jitter, which draws from the global generator
        grow = wait_exponential(self.first_pause_seconds, self.longest_pause_seconds)
        return max(_jitter.uniform(0, grow(state)), _error(state).pause_seconds)


def _error(state: RetryCallState) -> TransientError:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TransientError) else TransientError("")


def _log_pause(state: RetryCallState) -> None:
    _log.debug("%s; trying again in %.1f s", _error(state), state.upcoming_sleep)


def within(seconds: float, work: Callable[[], T]) -> T:
    """Call a function that must return in time, whatever it waits for.

    The timeouts of HTTP libraries hold between two bytes, so a server that sends one now and then
    could keep a client waiting for ever. A call that is late is abandoned in a thread that ends
    with the process.

    Args:
        seconds: How long it may take.
        work: The function; it runs in another thread with this one's context.

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


def pause_asked_for(text: str | None) -> float:
    """Return the pause in seconds that a Retry-After header requests, at most two minutes.

    Args:
        text: The header: seconds, or a date (RFC 9110, section 10.2.3). Anything else means 0.
    """
    text = (text or "").strip()
    try:
        if text.isdecimal():
            return min(float(text), _LONGEST_REQUESTED_PAUSE)
        left = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, left), _LONGEST_REQUESTED_PAUSE)
