"""Progress of long work: a line in the log every ten seconds, and snapshots for watchers.

Work reports with :class:`Progress`, whoever watches. Lines go to the ``daftt`` logger. A watcher
(the command line's bar, a status file) is set with :func:`watched_by`.

:func:`stage_process` sets up the log of a stage's process, and ends it on a user's mistake.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from daftt_core.errors import DafttError

LOOP_WIDTH = "DAFTT_LOOP_WIDTH"
"""Environment variable: how many iterations of a loop share this machine."""

LOCAL_LOOP_WIDTH = 2
"""Iterations that kfp.local runs at once, at most, whatever the pipeline asks for."""

LOG_EVERY_SECONDS = 10.0

TERMINATION_LOG = Path("/dev/termination-log")
"""What a container leaves here Kubernetes keeps in its pod's status."""
_MOST_OF_MESSAGE = 1000  # characters; Kubernetes keeps 4,096 bytes
_NOTIFY_EVERY_SECONDS = 0.5
_WARM_UP_SECONDS = 10.0
"""Time after the first finished units in which the pace says little about the rest."""

log = logging.getLogger("daftt")


@dataclass(frozen=True)
class Snapshot:
    """The progress of some work at one moment.

    Attributes:
        what: The work, such as ``annotate``.
        done: Units finished, those of an earlier attempt included.
        total: Units in all; None where nobody knows.
        unit: The unit in the plural, such as ``examples``.
        seconds_left: Estimate from the pace of this attempt since its first units, which take
            longer, as what they need is loaded and allocated; None while that says little.
    """

    what: str
    done: int
    total: int | None
    unit: str
    seconds_left: float | None

    def __str__(self) -> str:
        if self.total is None:
            return f"{self.what}: {self.done} {self.unit}"
        finished = self.done / self.total if self.total else 1.0
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        return f"{self.what}: {self.done} of {self.total} {self.unit} ({finished:.0%}){left}"


_Watcher = Callable[[Snapshot], None]
_watcher: ContextVar[_Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(watcher: _Watcher) -> Iterator[None]:
    """Send the snapshots of all work inside the block to ``watcher``, a few a second at most."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


class Progress:
    """A count of finished units that is logged and sent to the watcher.

    Args:
        what: The work, such as ``annotate``.
        total: Units in all; None where nobody knows.
        unit: The unit in the plural.
        done: Units an earlier attempt had finished.
    """

    def __init__(self, what: str, total: int | None, unit: str, done: int = 0) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done = self._done_before = done
        self._warm: tuple[float, int] | None = None  # when the first were finished, and how many
        self._logged = time.monotonic()
        self._notified = float("-inf")
        self._report(self._logged)

    def advance(self, units: int = 1) -> None:
        """Note that ``units`` more are finished."""
        self.reach(self._done + units)

    def reach(self, done: int) -> None:
        """Note that ``done`` units are finished in all."""
        now = time.monotonic()
        if self._warm is None and done > self._done_before:
            self._warm = now, done
        self._done = done
        self._report(now)

    def _report(self, now: float) -> None:
        finished = self._total is not None and self._done >= self._total
        if now - self._logged >= LOG_EVERY_SECONDS or finished:
            self._logged = now
            log.info("%s", self._snapshot(now))
        watcher = _watcher.get()
        if watcher and (finished or now - self._notified >= _NOTIFY_EVERY_SECONDS):
            self._notified = now
            watcher(self._snapshot(now))

    def _snapshot(self, now: float) -> Snapshot:
        return Snapshot(self._what, self._done, self._total, self._unit, self._seconds_left(now))

    def _seconds_left(self, now: float) -> float | None:
        if self._total is None or self._warm is None:
            return None
        if self._done >= self._total:
            return 0.0
        since, first = self._warm
        if now - since < _WARM_UP_SECONDS or self._done == first:
            return None
        return (now - since) / (self._done - first) * (self._total - self._done)


def duration(seconds: float) -> str:
    """Return seconds in words, such as ``45 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def stage_process(*, level: int = logging.INFO, in_loop: bool = False) -> Iterator[None]:
    """Send the log to stdout, and end the process with one sentence on a user's mistake.

    Args:
        level: Level of DAFTT's own log; of processes that work together, one logs progress.
        in_loop: Whether it is an iteration of a loop, which shares this machine with others
            (:data:`LOOP_WIDTH`); any other stage of a run on one machine has it alone.
    """
    if not in_loop:
        os.environ.pop(LOOP_WIDTH, None)
    logging.basicConfig(
        stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(message)s", force=True
    )
    logging.getLogger("daftt").setLevel(level)
    try:
        yield
    except DafttError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"error {error.exit_code}: {line}\n")
        with suppress(OSError):  # it is there in a pod alone
            if TERMINATION_LOG.exists():
                TERMINATION_LOG.write_text(str(error)[:_MOST_OF_MESSAGE], encoding="utf-8")
        sys.exit(error.exit_code)
