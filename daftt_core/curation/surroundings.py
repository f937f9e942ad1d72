"""What the filters know besides the examples, and how they say that one is rejected."""

from __future__ import annotations

from dataclasses import dataclass

from daftt_core.config import CurationConfig
from daftt_core.curation.echo import EchoIndex
from daftt_core.heldout import Heldout
from daftt_core.tasks import Task

__all__ = ["Reason", "Surroundings"]


@dataclass(frozen=True)
class Surroundings:
    """What the filters know besides the examples.

    Attributes:
        config: The settings.
        seed: The run's seed.
        task: The task.
        heldout: The dev and test examples, to be recognized and not read.
        labelled_ids: Ids of the real labelled examples.
        unlabelled_ids: Ids of the real inputs that were offered for annotation.
        echoes: What the teacher was shown: its prompt and the labelled examples.
    """

    config: CurationConfig
    seed: int
    task: Task
    heldout: Heldout
    labelled_ids: frozenset[str]
    unlabelled_ids: frozenset[str]
    echoes: EchoIndex


@dataclass(frozen=True)
class Reason:
    """Why an example is rejected.

    Attributes:
        detail: What the filter found, in words.
        collides_with: Id of the example it is too close to, where that is the reason.
    """

    detail: str
    collides_with: str | None = None
