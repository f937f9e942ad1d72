"""What every component's body needs around the one library function it calls."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from daftt_core.errors import DafttError

__all__ = ["numbers", "references", "stage_process"]


@contextmanager
def stage_process() -> Iterator[None]:
    """Send the log to stdout, and end the process with one sentence on a user's mistake."""
    logging.basicConfig(
        stream=sys.stdout, level=logging.WARNING, format="%(asctime)s %(message)s", force=True
    )
    logging.getLogger("daftt").setLevel(logging.INFO)
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
