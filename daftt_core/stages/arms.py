"""Arms: the sets of examples that students are trained on and compared by.

Every arm has the real labelled examples; it differs in what it has beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Source = Literal["real", "annotated", "generated", "gold"]

ARMS: dict[str, tuple[Source, ...]] = {
    "real": ("real",),
    "real+annotated": ("real", "annotated"),
    "real+generated": ("real", "generated"),
    "real+both": ("real", "annotated", "generated"),
    "gold": ("real", "gold"),
}
"""What each arm learns from."""


def baseline_arms(gold_arm: bool, *, gold_is_known: bool) -> list[str]:
    """Return the arms that need no teacher, the longest first.

    Args:
        gold_arm: Whether the arm of all true labels is asked for.
        gold_is_known: Whether the data has them.
    """
    return ["gold", "real"] if gold_arm and gold_is_known else ["real"]


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


def synthesis_shards(mode: str, shards: int) -> list[dict[str, str]]:
    """Return the loop items of synthesis: each shard of each source that the mode asks for.

    Args:
        mode: What the teacher writes: ``annotate``, ``generate`` or ``both``.
        shards: Shards of each source.
    """
    sources = {
        "annotate": ["annotated"],
        "generate": ["generated"],
        "both": ["annotated", "generated"],
    }[mode]
    return [
        {"source": source, "shard": str(shard)} for source in sources for shard in range(shards)
    ]
