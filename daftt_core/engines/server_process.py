"""A model's server, started with a stage and ended with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, MappingProxyType

from daftt_core.engines import supervisor as guard
from daftt_core.errors import ConfigError, RemoteError
from daftt_core.telemetry import log

_POLL_SECONDS = 0.5
_END_SECONDS = 15.0


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """A running server, which does not outlive this process, however that ends.

    Args:
        command: Its program and arguments; no shell is involved.
        log_file: Gets its output.
        setting: What names the program.
        environment: Variables that it has beside those of this process.

    Raises:
        ConfigError: There is no such program.
    """

    def __init__(
        self,
        command: Sequence[str],
        log_file: Path,
        setting: str = "synthesis_server_command",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._command = command
        self._log_file = log_file
        if shutil.which(command[0]) is None:
            raise ConfigError(
                f"{setting}: {command[0]!r} cannot be run: there is no such program on this "
                "machine; install it, or set synthesis_engine=local"
            )
        with log_file.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the run's own setting, no shell
                [sys.executable, "-I", "-S", guard.__file__, *command],
                stdin=subprocess.PIPE,  # held open by this process alone
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, which ends with all its children
            )

    def check(self) -> None:
        """Raise a RemoteError if the server has ended."""
        code = self._process.poll()
        if code is not None:
            raise RemoteError(
                f"the server {self._command[0]} ended with exit code {code}; its last output: "
                f"{self._last_output()}"
            )

    def wait_until(self, is_healthy: Callable[[], bool], deadline_seconds: float) -> None:
        """Wait for the server to be ready.

        Raises:
            RemoteError: It has ended, or is not ready in time.
        """
        started = time.monotonic()
        while not is_healthy():
            self.check()
            if time.monotonic() - started > deadline_seconds:
                raise RemoteError(
                    f"the server {self._command[0]} is not ready after {deadline_seconds:g} s "
                    "(synthesis_server_start_seconds); its last output: " + self._last_output()
                )
            time.sleep(_POLL_SECONDS)
        log.info("%s: ready after %.0f s", self._command[0], time.monotonic() - started)

    def stop(self) -> None:
        """End the server and its children: SIGTERM first, then SIGKILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _last_output(self) -> str:
        text = self._log_file.read_bytes()[-4000:].decode(errors="replace")
        return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-3:]) or "-"


@contextmanager
def running_server(
    command: Sequence[str],
    setting: str = "synthesis_server_command",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[ServerProcess]:
    """Run a server for as long as the block lasts, and end it when this process gets SIGTERM.

    See :class:`ServerProcess`.
    """
    with tempfile.TemporaryDirectory() as folder, _termination_as_exit():
        process = ServerProcess(command, Path(folder) / "log", setting, environment)
        try:
            yield process
        finally:
            process.stop()


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Make SIGTERM unwind the stack, so that the server is ended too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
