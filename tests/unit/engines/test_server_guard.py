"""A server that a stage started ends with the stage, however that ends."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from completions_server import group_members

from daftt_core.engines.server_process import ServerProcess, running_server

DEADLINE_SECONDS = 60.0
SLEEP = "import time; time.sleep(300)"


def stage(folder: Path) -> None:
    """Start two servers and wait: one with a child, and from a thread that ends before it does."""
    child = f"open({str(folder / 'child')!r}, 'w').close(); {SLEEP}"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with running_server([sys.executable, "-c", SLEEP]) as first:
        started: list[ServerProcess] = []

        def start() -> None:
            started.append(ServerProcess([sys.executable, "-c", parent], folder / "log"))

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        while not (folder / "child").exists():
            time.sleep(0.02)
        started[0].check()
        groups = [one._process.pid for one in (first, *started)]
        (folder / "partial").write_text(" ".join(map(str, groups)))
        (folder / "partial").replace(folder / "groups")
        time.sleep(300)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_server_stays_behind(number: signal.Signals, tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=stage, args=(tmp_path,))
    process.start()
    try:
        wait_for((tmp_path / "groups").exists)
        groups = [int(word) for word in (tmp_path / "groups").read_text().split()]
        # a server and its guard; nothing in the stage has waited for the first server's to begin
        wait_for(lambda: all(len(group_members(group)) >= 2 for group in groups))
        process.kill() if number == signal.SIGKILL else process.terminate()
        process.join(DEADLINE_SECONDS)
        expected = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 128 + signal.SIGTERM}
        assert process.exitcode == expected[number]
        wait_for(lambda: not any(map(group_members, groups)))
    finally:
        process.kill()
        process.join()
