"""DAFTT and a peer in turns: time on the clock, processor time, and their ratios."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["take_turns"]

T = TypeVar("T")


def take_turns(
    ways: Mapping[str, Callable[[], T]], rounds: int, describe: Callable[[T], str] = lambda _: ""
) -> dict[str, T]:
    """Print a line for each way and round, and the ratios of the medians.

    Args:
        ways: What is timed: ``daftt`` and ``plain``.
        rounds: How often each is.
        describe: What a line says of a result beside its times.

    Returns:
        The last result of each way.
    """
    clock: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, T] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            before = time.perf_counter(), _processor_seconds()
            results[name] = way()
            clock[name].append(time.perf_counter() - before[0])
            processor[name].append(_processor_seconds() - before[1])
            print(
                f"{name}: {clock[name][-1]:.1f} s, {processor[name][-1]:.1f} s of the processors"
                f"{describe(results[name])}",
                flush=True,
            )
    for what, seconds in (("time", clock), ("processor time", processor)):
        ours, plain = (statistics.median(seconds[name]) for name in ("daftt", "plain"))
        print(f"plain against daftt, {what}: {plain / ours:.2f} times as long")
    return results


def _processor_seconds() -> float:
    """Return the processor time of this process and of those that it started and that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
