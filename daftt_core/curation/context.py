"""What the filters know besides the examples, and how they say that one is rejected."""

from __future__ import annotations

from dataclasses import dataclass

from daftt_core.config import CurationConfig
from daftt_core.curation.duplicates import EchoIndex
from daftt_core.records import Heldout
from daftt_core.tasks import FIELD_NAME, Task


def field_names(text: str) -> list[str]:
    """The names of a prompt's fields with which lines of a text begin."""
    return [" ".join(found.group().split()) for found in FIELD_NAME.finditer(text)]


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
        own_fields: Names of a prompt's fields with which lines of the user's own outputs begin, in
            small letters.
    """

    config: CurationConfig
    seed: int
    task: Task
    heldout: Heldout
    labelled_ids: frozenset[str]
    unlabelled_ids: frozenset[str]
    echoes: EchoIndex
    own_fields: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reason:
    """Why an example is rejected.

    Attributes:
        detail: What the filter found, in words.
        collides_with: Id of the example it is too close to, where that is the reason.
    """

    detail: str
    collides_with: str | None = None
