"""What runs around the one library function that a stage calls.

A component's body uses these functions; a job's pod runs the stage from its command line:

    python -m daftt_core.entrypoints train-teacher --run JSON --config JSON --data DIGEST
        [--mixture DIGEST]
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from daftt_core.config import TeacherConfig, parse_section
from daftt_core.errors import DafttError
from daftt_core.ranks import this_rank
from daftt_core.workspace import Run

__all__ = ["main", "numbers", "references", "stage_process"]


@contextmanager
def stage_process() -> Iterator[None]:
    """Send the log to stdout, and end the process with one sentence on a user's mistake."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(message)s", force=True
    )
    # of processes that work together, one tells how it goes
    logging.getLogger("daftt").setLevel(logging.INFO if this_rank().leads else logging.WARNING)
    try:
        yield
    except DafttError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"error {error.exit_code}: {line}\n")
        sys.exit(error.exit_code)


def references(texts: Iterable[str]) -> dict[str, str]:
    """Stage names and digests from what :attr:`StageResult.reference` made of them."""
    pairs = (text.rpartition("@") for text in texts)
    return {name: digest for name, _, digest in pairs}


def numbers(summary: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """The finite numbers of a summary, nested names joined by dots.

    Truth values and whatever is not a number are left out: KFP metrics hold numbers only, and its
    metadata cannot hold NaN.
    """
    found: dict[str, float] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            found |= numbers(value, f"{prefix}{name}.")
        elif (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ):
            found[f"{prefix}{name}"] = float(value)
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Run one stage, as the words of a command line describe it.

    Args:
        words: The words after the module's name; None takes those of this process.

    Returns:
        0; a user's mistake ends the process with the exit code of its error.
    """
    parser = argparse.ArgumentParser(prog="python -m daftt_core.entrypoints")
    stages = parser.add_subparsers(dest="stage", required=True)
    train = stages.add_parser("train-teacher", help="fine-tune the teacher")
    train.add_argument("--run", required=True, help="the run, as preflight resolved it (JSON)")
    train.add_argument("--config", required=True, help="the teacher settings (JSON)")
    train.add_argument("--data", required=True, help="digest of the data")
    train.add_argument("--mixture", default="", help="digest of the mixture, if there is one")
    given = parser.parse_args(words)
    with stage_process():
        run = parse_section(Run, given.run)
        config = parse_section(TeacherConfig, given.config)
        from daftt_core.teacher import train as train_teacher

        train_teacher(run, config, given.data, given.mixture)
    return 0


if __name__ == "__main__":
    try:
        ended_with = main()
    except SystemExit as ended:
        ended_with = ended.code if isinstance(ended.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    # All is committed. Threads that libraries leave behind can abort an interpreter that is going
    # down (seen with gloo), and the launcher would take that for the program's own failure.
    os._exit(ended_with)
