"""Usage of resources: time, processors, bytes over the network, and tokens.

Code that moves or computes something calls :func:`count_bytes`, :func:`count_tokens` or
:func:`use_gpus`. Inside :func:`metered` it is added up; elsewhere it is ignored. A thread that
works for a metered block runs in a copy of its context.

GPUs are counted as a machine is rented: all that the process can see, from the first to the last
second of a block that used one. CPUs are counted likewise where a container has a limit; elsewhere
several stages share a machine, and only the time that its processors worked counts.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # of cgroup v2: "200000 100000" are two CPUs
_CPU_INFO = Path("/proc/cpuinfo")


Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""A whole number that every program can hold; a damaged file may hold anything."""


class Usage(BaseModel):
    """The resources that some work used; fields that a later version adds are ignored.

    Attributes:
        attempts: Number of times it was started.
        seconds: Time on the clock.
        cpu_seconds: Seconds of one CPU, by the kind of CPU.
        gpu_seconds: Seconds of one GPU, by the kind of GPU.
        bytes_stored: Bytes that arrived in a remote storage.
        bytes_fetched: Bytes that arrived from there.
        tokens_read: Tokens that models processed, without padding.
        tokens_written: Tokens that models produced.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)

    attempts: Count = 0
    seconds: float = 0.0
    cpu_seconds: dict[str, float] = {}
    gpu_seconds: dict[str, float] = {}
    bytes_stored: Count = 0
    bytes_fetched: Count = 0
    tokens_read: Count = 0
    tokens_written: Count = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            attempts=self.attempts + other.attempts,
            seconds=round(self.seconds + other.seconds, 1),
            cpu_seconds=_sum(self.cpu_seconds, other.cpu_seconds),
            gpu_seconds=_sum(self.gpu_seconds, other.gpu_seconds),
            bytes_stored=self.bytes_stored + other.bytes_stored,
            bytes_fetched=self.bytes_fetched + other.bytes_fetched,
            tokens_read=self.tokens_read + other.tokens_read,
            tokens_written=self.tokens_written + other.tokens_written,
        )


class Meter:
    """The usage of one attempt at some work, added up.

    Args:
        owns_machine: Whether this process counts its machine; of several that work on one machine
            together one does, and the others count no GPUs and no CPU limit.
    """

    def __init__(self, *, owns_machine: bool = True) -> None:
        self._owns_machine = owns_machine
        self._lock = threading.Lock()
        self._started, self._cpu_started = time.monotonic(), _cpu_seconds()
        self._counts: Counter[str] = Counter()
        self._gpus: dict[str, int] = {}
        self._others = Usage()

    def count(self, **amounts: int) -> None:
        """Add amounts, by their names in :class:`Usage`."""
        with self._lock:
            self._counts.update(amounts)

    def use_gpus(self, number: int, kind: str) -> None:
        """Record that the work has so many GPUs for itself, from its beginning to its end."""
        if self._owns_machine:
            with self._lock:
                self._gpus[kind] = max(number, self._gpus.get(kind, 0))

    def include(self, other: Usage) -> None:
        """Add the usage of another process for the same work at the same time."""
        with self._lock:
            self._others += other.model_copy(update={"attempts": 0, "seconds": 0.0})

    def usage(self) -> Usage:
        """Return the usage so far."""
        seconds = time.monotonic() - self._started
        worked = _cpu_seconds() - self._cpu_started
        limit = cpu_limit()
        if limit is not None:
            worked = limit * seconds if self._owns_machine else 0.0
        with self._lock:
            return self._others + Usage(
                attempts=1,
                seconds=seconds,
                cpu_seconds={_cpu_kind(): worked} if worked else {},
                gpu_seconds={kind: number * seconds for kind, number in self._gpus.items()},
                **self._counts,
            )


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered(*, owns_machine: bool = True) -> Iterator[Meter]:
    """Add up the usage of the block; a metered block inside it counts separately."""
    meter = Meter(owns_machine=owns_machine)
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


def count_bytes(*, stored: int = 0, fetched: int = 0) -> None:
    """Count bytes that have arrived; those that had to be sent again count once."""
    if meter := _meter.get():
        meter.count(bytes_stored=stored, bytes_fetched=fetched)


def count_tokens(*, read: int = 0, written: int = 0) -> None:
    """Count tokens that a model has read, without padding, or written."""
    if meter := _meter.get():
        meter.count(tokens_read=read, tokens_written=written)


def include_usage(other: Usage) -> None:
    """Count the usage of another process for the same work at the same time."""
    if meter := _meter.get():
        meter.include(other)


def use_gpus(number: int, kind: str) -> None:
    """Count the GPUs of this process, one of which has a model.

    Args:
        number: How many GPUs the process can see.
        kind: Their name, as the driver gives it.
    """
    if meter := _meter.get():
        meter.use_gpus(number, kind)


def _sum(left: Mapping[str, float], right: Mapping[str, float]) -> dict[str, float]:
    kinds = sorted({*left, *right})
    return {kind: round(left.get(kind, 0.0) + right.get(kind, 0.0), 1) for kind in kinds}


def _cpu_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cpu_limit() -> float | None:
    """Return the CPUs that this container may use at a time; None where there is no limit."""
    try:
        quota, period = _CPU_LIMIT.read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no container, or "max": no limit
        return None


@cache
def _cpu_kind() -> str:
    """Return the processor's name, such as ``AMD EPYC 7B12``, or else its architecture."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return " ".join(next(names, "").split()) or platform.machine()
