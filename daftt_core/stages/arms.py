"""Arms: the sets of examples that students are trained on and compared by.

Every arm has the real labelled examples; it differs in what it has beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

__all__ = ["ARMS", "Source", "augmented_arms", "left_out"]

Source = Literal["real", "annotated", "generated", "gold"]

ARMS: dict[str, tuple[Source, ...]] = {
    "real": ("real",),
    "real+annotated": ("real", "annotated"),
    "real+generated": ("real", "generated"),
    "real+both": ("real", "annotated", "generated"),
    "gold": ("real", "gold"),
}
"""What each arm learns from."""


def augmented_arms(mode: str) -> list[str]:
    """The arms that learn from synthetic examples, the longest first, so that two end together.

    Args:
        mode: What the teacher writes: ``annotate``, ``generate`` or ``both``.
    """
    return {
        "annotate": ["real+annotated"],
        "generate": ["real+generated"],
        "both": ["real+both", "real+annotated", "real+generated"],
    }[mode]


def left_out(arms: Iterable[str], kept: Mapping[str, int]) -> dict[str, str]:
    """The arms that cannot be trained, and why: one of their synthetic sources is empty.

    Args:
        arms: The arms asked for.
        kept: How many examples curation kept, by source.
    """
    found = {}
    for arm in arms:
        empty = [source for source in ARMS[arm] if kept.get(source) == 0]
        if empty:
            found[arm] = f"curation kept no {' and no '.join(empty)} example"
    return found
