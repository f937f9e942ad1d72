"""Sets of labels as one text: the outputs of a multi-label task in every file and table.

The labels stand in the task's order, with ``"; "`` between them, so that a set has one spelling:
``noun; verb``. The empty set is ``none``. No label may hold a semicolon or have that name.
"""

from __future__ import annotations

from collections.abc import Iterable

SEPARATOR = ";"
NO_LABEL = "none"
"""The empty set, in files and as the teacher reads it."""


def join_labels(labels: Iterable[str]) -> str:
    """Return a set of labels as one text; the labels are in the task's order."""
    return f"{SEPARATOR} ".join(labels) or NO_LABEL


def split_labels(output: str) -> list[str]:
    """Return the labels in a text that :func:`join_labels` made."""
    return [] if output == NO_LABEL else output.split(f"{SEPARATOR} ")
