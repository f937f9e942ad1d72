"""When new examples stop being new: the rule that ends a stream of them."""

from __future__ import annotations

from collections import deque

from daftt_core.config.synthesis import NOVELTY_WINDOW
from daftt_core.curation import NearIndex
from daftt_core.records import SyntheticExample, content_id

__all__ = ["ALIKE", "Novelty"]

ALIKE = 0.8
"""Jaccard similarity of character 5-grams from which an input is no longer new."""


class Novelty:
    """Watches one stream of generated examples.

    An input is new when it is neither equal to an earlier new input of its stream nor a near
    duplicate of one. What could not be read as an input does not count.

    Args:
        least: The stream is spent when less than this share of its last
            :data:`NOVELTY_WINDOW` inputs are new; 0: it never is.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._index = NearIndex(ALIKE)
        self._new: deque[bool] = deque(maxlen=NOVELTY_WINDOW)

    def is_spent_by(self, example: SyntheticExample) -> bool:
        """Take note of the stream's next example; whether the stream should end with it."""
        if not self._least or example.id != content_id(example.text, example.text_pair):
            return False
        self._new.append(self._index.add(example) is None)
        return len(self._new) == NOVELTY_WINDOW and sum(self._new) < self._least * NOVELTY_WINDOW
