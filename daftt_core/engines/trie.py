"""The answers to be scored, as a tree: what they begin with in common is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["AnswerTree", "plant"]


@dataclass(frozen=True)
class AnswerTree:
    """All answers' tokens but their last ones, which need not be read to be predicted.

    *Places* are where a next token is predicted: place 0 is the prompt's end, place n is the nth
    node.

    Attributes:
        tokens: The token of each node, parents before their children.
        parents: The place before each node.
        depths: How many tokens after the prompt's end each node is, from 1.
        steps: For each answer, the place and the wanted token of each of its steps.
    """

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    steps: list[list[tuple[int, int]]]

    def sight(self) -> Tensor:
        """Which node sees which: itself and those it comes after; of shape [nodes, nodes]."""
        sees = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent:
                sees[node] |= sees[parent - 1]
        return sees


def plant(answers: Sequence[Sequence[int]]) -> AnswerTree:
    """The tree of some answers.

    Args:
        answers: Each answer's tokens, at least one.
    """
    tree = AnswerTree([], [], [], [])
    places: dict[tuple[int, ...], int] = {(): 0}
    for answer in answers:
        steps = []
        for length, token in enumerate(answer):
            read = tuple(answer[:length])
            if read not in places:
                tree.tokens.append(read[-1])
                tree.parents.append(places[read[:-1]])
                tree.depths.append(length)
                places[read] = len(tree.tokens)
            steps.append((places[read], token))
        tree.steps.append(steps)
    return tree
