"""Students side by side on a CPU: each in a process of its own, with one thread.

Threads that share the products of a small model wait for each other after each of some hundred
operations; students with a core each do not. A process begins as a copy of this one, so models and
tokenized examples that it has are there at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from daftt_core.errors import DafttError, TrainingError
from daftt_core.telemetry import count_tokens, metered

Result = TypeVar("Result")
Job = Callable[[Callable[[int], None]], Result]
"""Work in a process; it is given a function that takes the number of units it has finished."""

_MOST_WEIGHTS = 64_000_000
"""A larger model's products keep several cores busy, and several copies of it fill the memory."""


def students_at_once(students: int, weights: int) -> int:
    """Return how many of an arm's students this machine works on at once, each on one core.

    1 stands for one after another on all cores: on a GPU, for large models, and where so few
    students would leave most cores idle. Otherwise there are enough of them for all cores to be
    busy to the end, where some may share a core. The number does not depend on which students an
    earlier attempt has finished, so a resumed one computes with the same number of threads.

    Args:
        students: Students of the arm.
        weights: Number of weights of one.
    """
    cores = torch.get_num_threads()
    if (
        sys.platform != "linux"  # elsewhere a process cannot begin as a copy
        or torch.cuda.is_available()
        or weights > _MOST_WEIGHTS
        or cores == 1
        or 2 * students < cores
        or students == 1
    ):
        return 1
    return min(students, cores + students % cores)


def work_on(
    jobs: Sequence[Job[Result]], at_once: int, on_units: Callable[[int], None]
) -> Iterator[tuple[int, Result]]:
    """Work on jobs; yield a job's number and result as it ends.

    Tokens that they count are counted here. When this process ends, so do its processes.

    Args:
        jobs: The work; results are pickled.
        at_once: 1: one after another in this process. Otherwise in processes of their own with one
            thread each, so many at a time.
        on_units: Called here with the number of units that a job has finished.

    Raises:
        DafttError: A job raised it; the others are stopped.
        TrainingError: A process was killed.
    """
    if at_once == 1:
        yield from ((number, job(on_units)) for number, job in enumerate(jobs))
    else:
        yield from _side_by_side(jobs, at_once, on_units)


def _side_by_side(
    jobs: Sequence[Job[Result]], at_once: int, on_units: Callable[[int], None]
) -> Iterator[tuple[int, Result]]:
    waiting = deque(enumerate(jobs))
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                number, job = waiting.popleft()
                connection, process = _start(job)
                running[connection] = number, process
            for ready in wait(list(running)):
                connection = next(each for each in running if each is ready)
                number, process = running[connection]
                message = _receive(connection, process)
                if isinstance(message, int):
                    on_units(message)
                else:
                    result, read, written = message
                    del running[connection]
                    process.join()
                    count_tokens(read=read, written=written)
                    yield number, result
    finally:
        for _, process in running.values():
            process.kill()
            process.join()


def _start(job: Job[Any]) -> tuple[Connection, BaseProcess]:
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, sender), daemon=True)
    sys.stdout.flush()  # what is buffered would be written twice
    with warnings.catch_warnings():
        # Threads are not copied: none of ours holds a lock that this work needs.
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        process.start()
    sender.close()
    return receiver, process


def _receive(connection: Connection, process: BaseProcess) -> Any:
    try:
        message = connection.recv()
    except EOFError:
        process.join()
        raise TrainingError(
            f"a student's process ended with exit code {process.exitcode}; -9 means that it was "
            "killed, most often for want of memory"
        ) from None
    if isinstance(message, BaseException):
        raise message
    return message


def _work(job: Job[Any], sender: Connection) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its processes
    torch.set_num_threads(1)
    try:
        with metered(owns_machine=False) as meter:
            result = job(sender.send)
        usage = meter.usage()
        sender.send((result, usage.tokens_read, usage.tokens_written))
    except DafttError as error:
        sender.send(error)
    except BaseException:
        sender.send(RuntimeError(traceback.format_exc()))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
