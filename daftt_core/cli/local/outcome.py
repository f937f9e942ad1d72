"""Why a run failed, in words and as an exit code."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from daftt_core.cli.local.launch import RUN_AGAIN, Attempt
from daftt_core.cli.local.watch import statuses_since
from daftt_core.errors import DafttError, StorageError
from daftt_core.records import write_text

_LAST_LINES = 20
_FAILURE = ".failure"
_SENTENCE = re.compile(r"\s*error (\d+): (.+)")  # exit code and sentence, as a component prints it


class RunFailedError(DafttError):
    """A stage failed, and the run with it; its notes say where the log is and how to resume.

    Args:
        message: One sentence for each stage that failed.
        exit_code: The code of the stage's error.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def explain_failure(attempt: Attempt) -> RunFailedError:
    """Find out why an attempt failed, from what its stages left behind.

    A stage that failed for a known reason wrote one sentence. Otherwise something broke, and the
    end of the log is the best explanation.
    """
    statuses = statuses_since(attempt)
    lines = attempt.log_lines()
    failed = [status for status in statuses if status.state == "failed"]
    if failed:
        sentences = "\n".join(f"stage {status.stage}: {status.message}" for status in failed)
        error = RunFailedError(sentences, failed[0].exit_code or DafttError.exit_code)
    else:
        broken = " and ".join(status.stage for status in statuses if status.state == "running")
        error = _raised_outside_a_stage(lines) or _broken_off(broken, lines)
    with suppress(OSError):  # a full disk must not hide the error that is being reported
        write_text(attempt.folder / _FAILURE, str(error))
    error.add_note(f"The log is {attempt.log}")
    error.add_note(f"Once that is fixed, {RUN_AGAIN}")
    return error


def forget_failure(folder: Path) -> None:
    """Forget why the run in ``folder`` failed, before another attempt.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        (folder / _FAILURE).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror}") from None


def last_failure(folder: Path) -> str:
    """Return why the last attempt at the run in ``folder`` failed; empty if it did not."""
    try:
        return (folder / _FAILURE).read_text(encoding="utf-8")
    except OSError:
        return ""


def _raised_outside_a_stage(lines: list[str]) -> RunFailedError | None:
    """Return the error that a component raised where no status could be written."""
    matches = [match for line in lines if (match := _SENTENCE.fullmatch(line))]
    if not matches:
        return None
    return RunFailedError("\n".join(match[2] for match in matches), int(matches[0][1]))


def _broken_off(stages: str, lines: list[str]) -> RunFailedError:
    subject = f"stage {stages}" if stages else "the pipeline"
    error = RunFailedError(
        f"{subject} broke off without giving a reason (out of memory, or a fault of DAFTT); "
        "the log ends with:",
        DafttError.exit_code,
    )
    for line in lines[-_LAST_LINES:]:
        error.add_note(f"    {line.strip()}")
    return error
