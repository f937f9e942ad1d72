"""Runs a server, and ends it when the process that wanted it is gone, however that ended.

A program of its own, which knows nothing of DAFTT so that it starts at once: its arguments are the
server's command. Its standard input is a pipe that nobody writes to. The kernel closes the other
end when the process that holds it dies, also by SIGKILL, and in whatever thread it was opened.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType

_POLL_SECONDS = 0.1
_END_SECONDS = 10.0


def main() -> int:
    """Run the command that the arguments are; returns its exit code."""
    signal.signal(signal.SIGTERM, _go_on)
    command = sys.argv[1:]
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - no shell
    except OSError as error:
        print(f"cannot be run: {error.strerror}", flush=True)  # noqa: T201 - its last words
        return 127
    while server.poll() is None:
        if select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
            _end(server)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _go_on(_: int, __: FrameType | None) -> None:
    """The group is told to end: the server does so, and then so does this."""


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the whole group, this process too, gently at first."""
    os.killpg(0, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(_END_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
