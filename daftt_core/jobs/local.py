"""Running a request on this machine: the same program, with torchrun or plain Python."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from daftt_core.errors import JobError
from daftt_core.jobs.requests import JobRequest

_SENTENCE = re.compile(r"error (\d+): (.+)")  # how the program says that a user made a mistake
_LAST_LINES = 20
_END_SECONDS = 10


class LocalLauncher:
    """Runs requests as processes of this machine, in this process's group."""

    def launch(self, request: JobRequest) -> None:
        """Run the request and wait until it has succeeded; its output is shown as it comes.

        When this process is told to end, so is the program, which may save what it has done.

        Raises:
            JobError: The program failed. It keeps the exit code of the program's own error.
        """
        sentences: list[str] = []
        last: deque[str] = deque(maxlen=_LAST_LINES)
        code = JobError.exit_code
        program = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            request.local_command(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        with program as process, _handing_on_sigterm(process):
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            try:
                for line in process.stdout:
                    said = _SENTENCE.fullmatch(line.rstrip("\n"))
                    if said:  # told below, once
                        code = int(said[1])
                        sentences += [said[2]] if said[2] not in sentences else []
                        continue
                    last.append(line.rstrip("\n"))
                    sys.stdout.write(line)
                    sys.stdout.flush()
                process.wait()
            finally:
                _end(process)
        if process.returncode == 0:
            return
        tail = "\n".join(f"    {line}" for line in last)
        error = JobError(
            "\n".join(sentences)
            or f"stage {request.stage} ended with exit code {process.returncode}:\n{tail}"
        )
        error.exit_code = code if sentences else JobError.exit_code
        raise error


@contextmanager
def _handing_on_sigterm(process: subprocess.Popen[str]) -> Iterator[None]:
    """Inside the block SIGTERM is the program's to act on; only a main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process that is still at work because this one is not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
