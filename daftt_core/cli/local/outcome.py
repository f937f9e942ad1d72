"""Why a run failed, in words and as an exit code."""

from __future__ import annotations

import re
from contextlib import suppress

from daftt_core.cli.local.launch import RUN_AGAIN, Attempt
from daftt_core.cli.local.marks import note_failure
from daftt_core.cli.local.watch import statuses_since
from daftt_core.errors import DafttError

_LAST_LINES = 20
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
        note_failure(attempt.folder, str(error))
    error.add_note(f"The log is {attempt.log}")
    error.add_note(f"Once that is fixed, {RUN_AGAIN}")
    return error


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
