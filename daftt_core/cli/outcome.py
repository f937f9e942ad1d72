"""How a run ended that did not succeed, in words and as an exit code."""

from __future__ import annotations

import re

import click

from daftt_core.cli.launch import Attempt
from daftt_core.cli.watch import statuses_since
from daftt_core.errors import DafttError

__all__ = ["INTERRUPTED", "RunFailedError", "StoppedError", "explain_failure"]

INTERRUPTED = 130  # 128 + SIGINT, as shells report it

_GO_ON = "To go on, run the same command again: finished stages are not done twice."
_LAST_LINES = 20
_SENTENCE = re.compile(r"\s*error: (.+)")  # as a component's process prints it


class RunFailedError(DafttError):
    """A run that a stage has ended; its notes say where the log is and how to go on.

    Args:
        message: One sentence for each stage that failed.
        exit_code: The code of the stage's error.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StoppedError(click.ClickException):
    """The user has stopped the run."""

    exit_code = INTERRUPTED

    def __init__(self) -> None:
        super().__init__(f"Stopped. {_GO_ON}")


def explain_failure(attempt: Attempt) -> RunFailedError:
    """Why an attempt failed, from what its stages have left behind.

    A stage that failed for a known reason has said so in one sentence. Otherwise something broke,
    and the end of the log is the best that can be shown.
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
    error.add_note(f"The log is {attempt.log}")
    error.add_note(_GO_ON)
    return error


def _raised_outside_a_stage(lines: list[str]) -> RunFailedError | None:
    """The error that a component raised where no status could be written."""
    sentences = [found[1] for line in lines if (found := _SENTENCE.fullmatch(line))]
    return RunFailedError("\n".join(sentences), DafttError.exit_code) if sentences else None


def _broken_off(stages: str, lines: list[str]) -> RunFailedError:
    what = f"stage {stages}" if stages else "the pipeline"
    error = RunFailedError(
        f"{what} broke off without giving a reason (out of memory, or a fault of DAFTT); "
        "the log ends with:",
        DafttError.exit_code,
    )
    for line in lines[-_LAST_LINES:]:
        error.add_note(f"    {line.strip()}")
    return error
