"""A process that has loaded what stages need, so that a stage begins as a copy of it.

Loading torch, transformers and the rest takes longer than many a stage takes, and a run has some
fifteen of them. Where there is a GPU each stage starts afresh: a copy of a process cannot use one
that the process has asked for.

    python -m daftt_core.cli.local.warm <descriptor of a socket>

For each stage the socket gets three descriptors: what to run, where its output goes, and where its
exit code goes. The process ends when the socket's other side is closed.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import NoReturn, Self

_DEVICES = Path("/dev")
_DESCRIPTORS = 3
_MODULES = (
    "kfp.dsl.executor_main",
    "daftt_core.workspace",
    "daftt_core.data",
    "daftt_core.evaluation",
    "daftt_core.curation",
    "torch",
    "datasets",
    "transformers.trainer",
    "daftt_core.student",
    "daftt_core.teacher",
    "daftt_core.synthesis",
    "daftt_core.reporting",
)
"""Loaded one by one while no stage waits; those for the first stages come first."""


def is_worthwhile() -> bool:
    """Return whether stages on this machine can begin as copies: on Linux, without a GPU."""
    gpus = [*_DEVICES.glob("nvidia[0-9]*"), *_DEVICES.glob("kfd")]
    return sys.platform == "linux" and not gpus


class WarmProcess:
    """Starts the process, and has it run what kfp.local would run in a new one.

    It ends with the block in which this is used.
    """

    def __init__(self) -> None:
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with other:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [sys.executable, "-m", __name__, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                env={**os.environ, "_KFP_RUNTIME": "true"},  # as kfp sets it for a stage
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._process.wait()

    def run(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """Run a component as ``kfp.local.subprocess_task_handler.run_local_subprocess`` does.

        Args:
            full_command: ``sh``, ``-ec``, a script that stores the component's code and runs it,
                that code, and the arguments.
            env_vars: Environment variables that are added to those of the process.

        Returns:
            The exit code; negative for a signal.

        Raises:
            OSError: The process is gone.
        """
        request = os.memfd_create("stage")
        output, output_end = os.pipe()
        status, status_end = os.pipe()
        with (
            os.fdopen(output, encoding="utf-8", errors="replace") as lines,
            os.fdopen(status, "rb") as code,
        ):
            try:
                os.write(request, json.dumps([full_command[3:], env_vars or {}]).encode())
                with self._lock:
                    passed = [request, output_end, status_end]
                    socket.send_fds(self._channel, [b"run"], passed)
            finally:
                for descriptor in (request, output_end, status_end):
                    os.close(descriptor)
            for line in lines:
                print(line, end="")  # noqa: T201 - kfp.local has put its own print in its place
            print("\n")  # noqa: T201
            return int(code.read() or -signal.SIGKILL)


def main() -> int:
    """Serve stages until nobody asks any more; returns 0."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as long as a stage runs, it is waited for
    # Threads are not copied: those of the libraries hold no lock that a stage needs.
    warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
    waiting = list(_MODULES)
    while True:
        if waiting and not select.select([channel], [], [], 0)[0]:
            importlib.import_module(waiting.pop(0))
            continue
        message, descriptors, _, _ = socket.recv_fds(channel, 16, _DESCRIPTORS)
        _collect(os.WNOHANG if message else 0)
        if not message:
            return 0
        if os.fork() == 0:
            channel.close()
            _watch(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _collect(options: int) -> None:
    """Take note of copies that have ended, so that their time counts as this process's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            continue


def _watch(request: int, output: int, status: int) -> NoReturn:
    """Run a stage in a further copy, and pass on its exit code.

    That copy ends as multiprocessing ends one: to take all libraries down would take two seconds.
    """
    stage = get_context("fork").Process(target=_run, args=(request, output, status))
    stage.start()
    os.close(output)
    stage.join()
    with suppress(BrokenPipeError):  # nobody asks any more
        os.write(status, str(stage.exitcode).encode())
    os._exit(0)


def _run(request: int, output: int, status: int) -> None:
    """Run a stage as a program of its own."""
    os.close(status)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    with os.fdopen(request, "rb") as file:
        file.seek(0)
        (code, *arguments), variables = json.load(file)
    os.environ.update(variables)
    component = Path(tempfile.mkdtemp()) / "ephemeral_component.py"
    component.write_text(code, encoding="utf-8")
    sys.argv = ["executor_main", "--component_module_path", str(component), *arguments]
    from kfp.dsl.executor_main import executor_main

    executor_main()


if __name__ == "__main__":
    sys.exit(main())
