"""Examples and surroundings for the tests of curation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from daftt_core.config import CurationConfig
from daftt_core.curation import FilterContext
from daftt_core.curation import run_filters as run_filters_on_disk
from daftt_core.curation.duplicates import EchoIndex
from daftt_core.curation.rows import Spool
from daftt_core.records import Example, Rejection, SyntheticExample, content_id
from daftt_core.records.fingerprints import Fingerprint, Heldout
from daftt_core.tasks import Label, Task

SENTIMENT = Task(
    id="mood",
    kind="classification",
    description="Mood.",
    definition="Say the mood.",
    writing_definition="Write a sentence.",
    labels=(Label(name="good", verbalizer="good"), Label(name="bad", verbalizer="bad")),
)
TITLES = Task(
    id="titles",
    kind="text2text",
    description="Titles.",
    definition="Write a title.",
    writing_definition="Write a text.",
)
OPEN = CurationConfig(
    min_characters=0, keep_share=1.0, balance=False, check_format=False, near_duplicate=0
)


class Outcome(NamedTuple):
    kept: list[SyntheticExample]
    rejected: list[Rejection]


def run_filters(examples: Iterable[SyntheticExample], surroundings: FilterContext) -> Outcome:
    with Spool() as spool:
        found = run_filters_on_disk(examples, surroundings, spool)
        return Outcome(list(found.kept()), list(found.rejected()))


def made(text: str, source: str = "generated", **fields: Any) -> SyntheticExample:
    values = {"output": "good", "confidence": 0.9, "source": source, **fields}
    own_id = Example.of(text, fields.get("text_pair")).id
    return SyntheticExample.model_validate({"id": own_id, "text": text, **values})


def around(
    config: CurationConfig = OPEN,
    task: Task = SENTIMENT,
    heldout: list[str] | None = None,
    labelled: list[str] | None = None,
    unlabelled: list[str] | None = None,
    seed: int = 0,
) -> FilterContext:
    shown = [Example.of(text) for text in labelled or []]
    return FilterContext(
        config=config,
        seed=seed,
        task=task,
        heldout=Heldout(
            [Fingerprint.of(Example.of(text)) for text in heldout or []], config.overlap_words
        ),
        labelled_ids=frozenset(map(content_id, labelled or [])),
        unlabelled_ids=frozenset(map(content_id, unlabelled or [])),
        echoes=EchoIndex(task, shown, config.echo_words),
    )


def changed(**settings: object) -> CurationConfig:
    return CurationConfig.model_validate({**OPEN.model_dump(), **settings})


def reasons(examples: list[SyntheticExample], surroundings: FilterContext) -> dict[str, str]:
    """The reason for each rejected text."""
    return {r.example.text: r.reason for r in run_filters(examples, surroundings).rejected}
