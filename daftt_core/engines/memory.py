"""How much work goes into one forward pass, and what happens when that was too much."""

from __future__ import annotations

import torch

from daftt_core.errors import ModelError
from daftt_core.telemetry import log

__all__ = ["Limits"]


class Limits:
    """Greatest size of a batch, which shrinks for good when memory runs out.

    Args:
        rows: Sequences side by side, at most.
        tokens: Tokens in all of them, padding included, at most; a single sequence may be longer.
    """

    def __init__(self, rows: int, tokens: int) -> None:
        self._rows = rows
        self._tokens = tokens

    def rows(self, width: int) -> int:
        """How many sequences of this many tokens go together; at least 1."""
        return max(1, min(self._rows, self._tokens // width))

    def shrink(self, error: Exception, rows: int, width: int) -> None:
        """Halve the batch after a failure for want of memory.

        Args:
            error: What was raised; anything but a want of memory is raised again.
            rows: How many sequences there were.
            width: How many tokens each had.

        Raises:
            ModelError: There was only one sequence.
        """
        if not _is_want_of_memory(error):
            raise error
        if rows == 1:
            raise ModelError(
                f"the memory does not hold the model and one text of {width} tokens; lower "
                "synthesis_max_length or synthesis_max_new_tokens, or use a machine with more"
            ) from error
        self._rows = rows // 2
        log.warning(
            "out of memory with %d texts of %d tokens at once: going on with %d",
            rows,
            width,
            self._rows,
        )


def _is_want_of_memory(error: Exception) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # on the CPU
