"""Which of several processes that train together this one is, as torchrun tells it.

torchrun sets ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``LOCAL_WORLD_SIZE`` and ``GROUP_RANK``; a
process without them is alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Rank:
    """A process's place among those that train together.

    Attributes:
        index: Its number, from 0; process 0 leads.
        count: How many processes there are.
        on_node: Its number among those of its machine.
        node: The machine's number.
        per_node: Processes of each machine.
    """

    index: int = 0
    count: int = 1
    on_node: int = 0
    node: int = 0
    per_node: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one that works alone where only one may."""
        return self.index == 0

    @property
    def leads_node(self) -> bool:
        """Whether it is the one of its machine that handles the machine's files."""
        return self.on_node == 0

    @property
    def nodes(self) -> int:
        """How many machines there are."""
        return self.count // self.per_node


def this_rank() -> Rank:
    """The place of this process."""
    count = _number("WORLD_SIZE", 1)
    return Rank(
        index=_number("RANK", 0),
        count=count,
        on_node=_number("LOCAL_RANK", 0),
        node=_number("GROUP_RANK", 0),
        per_node=_number("LOCAL_WORLD_SIZE", count),
    )


def _number(name: str, otherwise: int) -> int:
    return int(os.environ.get(name) or otherwise)
