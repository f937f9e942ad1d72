"""Runs a server, and ends it when the process that started it is gone, however that ended.

A program of its own, which imports nothing of DAFTT so that it starts at once: its arguments are
the server's command. Its standard input is a pipe that nobody writes to. The kernel closes the
other end when the process that holds it dies, also by SIGKILL.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

_POLL_SECONDS = 0.1
_END_SECONDS = 10.0


def main() -> int:
    """Run the command in the arguments; return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # the group gets it: the server ends, then this
    command = sys.argv[1:]
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - no shell
    except OSError as error:
        print(f"cannot be run: {error.strerror}", flush=True)  # noqa: T201 - read by its parent
        return 127
    while server.poll() is None:
        if select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
            _end(server)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the whole group, this process too: SIGTERM first, then SIGKILL."""
    os.killpg(0, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(_END_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
