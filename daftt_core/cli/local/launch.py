"""Start the pipeline's process, wait for it, and end it with all its stages."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import IO, Any

import click
import yaml

from daftt_core.cli.printing import say
from daftt_core.config import as_argument
from daftt_core.errors import StorageError
from daftt_core.storage import check_writable
from daftt_core.telemetry import LOCAL_LOOP_WIDTH, LOOP_WIDTH

LOG = "log.txt"
RUN_AGAIN = "run the same command again: finished stages are not repeated."


_LOOK_EVERY_SECONDS = 0.25
_STOP_SECONDS = 120  # for a step of a teacher and its checkpoint; all other stages end at once


class StoppedError(click.ClickException):
    """The run was stopped from outside.

    Args:
        number: The signal, which decides the exit code.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(f"Stopped. To resume, {RUN_AGAIN}")
        self.exit_code = 128 + number  # type: ignore[misc] # click has one for each class

    def show(self, file: IO[str] | None = None) -> None:
        """Write the message as it is: to be stopped is no error."""
        (file or sys.stderr).write(f"{self.message}\n")


class _Interrupted(KeyboardInterrupt):
    """A signal told this process to end: SIGINT, which is Ctrl-C, or SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Attempt:
    """One attempt at a run.

    Attributes:
        folder: The run's folder.
        started: Seconds since the epoch.
        log: The file with all output of the stages.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = time.time()
        self.log = folder / LOG
        self._log_offset = self.log.stat().st_size if self.log.exists() else 0

    def log_lines(self) -> list[str]:
        """Return this attempt's lines of the log, without empty ones."""
        with self.log.open("rb") as file:
            file.seek(self._log_offset)
            text = file.read().decode("utf-8", errors="replace")
        return [line for line in text.splitlines() if line.strip()]


def compiled_pipeline(name: str = "daftt") -> Path:
    """Return the file of a compiled pipeline, ``daftt`` or ``sweep``.

    Raises:
        StorageError: It is missing.
    """
    spec = importlib.util.find_spec("pipelines")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "compiled" / f"{name}.yaml"
        if path.is_file():
            return path
    raise StorageError(f"pipelines/compiled/{name}.yaml is missing; write it with: daftt compile")


def read_pipeline(compiled: Path) -> dict[str, Any]:
    """Return the specification in a compiled pipeline's file, without its platform's part."""
    with compiled.open(encoding="utf-8") as file:
        spec: dict[str, Any] = next(yaml.load_all(file, Loader=yaml.CSafeLoader))
    return spec


def run_pipeline(
    attempt: Attempt, compiled: Path, settings: dict[str, Any], look: Callable[[], None]
) -> int:
    """Run a compiled pipeline to its end.

    A signal to end this process ends the stages too: a teacher stores a checkpoint. A second
    signal, or two minutes, end them at once.

    Args:
        attempt: The attempt; its log is appended to.
        compiled: The pipeline's YAML file.
        settings: Every flat setting.
        look: Called a few times a second while it runs, and once afterwards.

    Returns:
        0, or the exit code of a pipeline that failed.

    Raises:
        StorageError: The run's folder cannot be written, or the one for temporary files not used.
        StoppedError: It was stopped by Ctrl-C or SIGTERM; nothing of it is left running.
    """
    check_writable(attempt.folder, needed_bytes=0)
    with attempt.log.open("a", encoding="utf-8") as log:
        _note(log, f"daftt run, {attempt.folder}")
        with (
            _stopped_by_signals(),
            # kfp leaves a folder in the temporary folder for each task it runs
            tempfile.TemporaryDirectory(prefix="daftt-", ignore_cleanup_errors=True) as temporary,
            _start(attempt, compiled, log, _checked(temporary)) as process,
        ):
            try:
                _send(process, settings)
                while process.poll() is None:
                    look()
                    time.sleep(_LOOK_EVERY_SECONDS)
            except _Interrupted as interrupted:
                _stop(process, log, signal.Signals(interrupted.number).name)
                raise
            finally:
                _end(process)
    look()
    return process.returncode


def _checked(temporary: str) -> str:
    """Return the folder for temporary files, if kfp.local finds nothing in its path to replace."""
    if as_argument(temporary) == temporary:
        return temporary
    raise StorageError(
        f"{tempfile.gettempdir()}: kfp.local cannot use this folder for temporary files, as it "
        "replaces a part of its name; set TMPDIR to a folder of letters and digits"
    )


def _start(
    attempt: Attempt, compiled: Path, log: IO[str], temporary: str
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own module, no shell
        [sys.executable, "-m", "daftt_core.cli.local.pipeline", str(attempt.folder), str(compiled)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches this process alone, which ends the rest
        env={
            **os.environ,
            LOOP_WIDTH: str(LOCAL_LOOP_WIDTH),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": temporary,
        },
    )


def _send(process: subprocess.Popen[bytes], settings: dict[str, Any]) -> None:
    if process.stdin is None:
        raise RuntimeError("the pipeline's process has no stdin")
    try:
        process.stdin.write(json.dumps(as_argument(settings)).encode() + b"\n")
        process.stdin.flush()  # and stays open: its end is the sign that this process is gone
    except BrokenPipeError:  # it died at once; its exit code and its log say why
        return


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the block with StoppedError, unless they are ignored.

    Inside it they are a KeyboardInterrupt, which no ``except Exception`` swallows.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise _Interrupted(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    except _Interrupted as interrupted:
        raise StoppedError(interrupted.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(process: subprocess.Popen[bytes], log: IO[str], name: str) -> None:
    """Tell the stages to end, and wait until they have."""
    _note(log, f"stopping ({name}); a teacher in training stores a checkpoint first")
    say("Stopping: a teacher in training stores a checkpoint first (again: stop now)", err=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)


def _note(log: IO[str], text: str) -> None:
    log.write(f"==== {datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")
    log.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)  # stages survive it: they commit what is finished
    except ProcessLookupError:  # nothing of it is left
        return
