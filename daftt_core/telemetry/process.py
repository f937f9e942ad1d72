"""The process of a stage: where its log goes, and how it ends on a user's mistake."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from daftt_core.errors import DafttError

__all__ = ["stage_process"]


@contextmanager
def stage_process(*, level: int = logging.INFO) -> Iterator[None]:
    """Send the log to stdout, and end the process with one sentence on a user's mistake.

    Args:
        level: What of DAFTT's own log is shown; of processes that work together, one tells how
            it goes.
    """
    logging.basicConfig(
        stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(message)s", force=True
    )
    logging.getLogger("daftt").setLevel(level)
    try:
        yield
    except DafttError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"error {error.exit_code}: {line}\n")
        sys.exit(error.exit_code)
