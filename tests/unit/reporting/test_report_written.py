"""What the report and the data card say about how the teacher wrote its examples."""

from __future__ import annotations

from typing import Any

import pytest

from daftt_core.config import from_flat
from daftt_core.reporting.card import write_card
from daftt_core.reporting.content import ReportData, StageRecord
from daftt_core.reporting.page import render
from daftt_core.stages import CuratedResult, Funnel
from daftt_core.tasks import Task, load_task

TITLES = Task(
    id="titles",
    kind="text2text",
    description="Titles.",
    definition="Write a title.",
    writing_definition="Write a text.",
)


def shards(*summaries: dict[str, int]) -> tuple[StageRecord, ...]:
    return tuple(
        StageRecord(
            name=f"synthetic/generated-{place:03d}-of-{len(summaries):03d}",
            key="0",
            files=(),
            summary=summary,
            seconds=1.0,
            peak_memory_bytes=1,
        )
        for place, summary in enumerate(summaries)
    )


def said(task: Task, *summaries: dict[str, int], **settings: Any) -> list[str]:
    """The report and the card, as one line each."""
    problems = {"not an input": 3, "unfinished": 1}
    funnel = Funnel(read=10, rejected={"unusable": 4}, kept=6, problems=problems)
    data = ReportData(
        run_name="run",
        seed=0,
        task=task,
        config=from_flat({"task": task.id, **settings}),
        stages=shards(*summaries),
        curation=CuratedResult(funnel={"generated": funnel}),
    )
    return [" ".join(text.split()) for text in (render(data), write_card(data))]


@pytest.mark.parametrize(
    ("task", "settings", "sentence"),
    [
        (
            load_task("movie-reviews"),
            {},
            "Confidence is the label's probability, calibrated on dev.",
        ),
        (TITLES, {}, "Confidence is the geometric mean of the teacher's own probabilities"),
        (
            TITLES,
            {"synthesis_samples": 5},
            "For each input 5 texts were written, and the one kept that agrees most with the "
            "others; confidence is its mean agreement with them (ROUGE-L).",
        ),
        (
            TITLES,
            {"synthesis_samples": 2, "synthesis_agreement": "exact"},
            "confidence is its mean agreement with them (exact match).",
        ),
    ],
)
def test_the_meaning_of_confidence_is_named(
    task: Task, settings: dict[str, object], sentence: str
) -> None:
    for text in said(task, **settings):
        assert sentence in text.replace("&#39;", "'")


def test_what_was_asked_for_and_what_was_not_written_is_said() -> None:
    for text in said(
        load_task("movie-reviews"),
        {"not_written": 30, "demonstrations_left_out": 2},
        {"not_written": 12, "demonstrations_left_out": 5},
        synthesis_demonstrations=3,
        synthesis_stop_novelty=0.5,
    ):
        assert "New inputs were asked for with as many of each label." in text
        assert "at most 3 labelled examples; 7 were left out for lack of room." in text
        assert "Of 600 new inputs 42 were not written: a stream of them ended as soon as" in text
        assert "fewer than 50% of its last 20 inputs were new." in text
        assert "Unusable because: not an input 3, unfinished 1." in text


def test_nothing_is_said_of_new_inputs_where_none_were_asked_for() -> None:
    for text in said(load_task("movie-reviews"), synthesis_mode="annotate"):
        assert "New inputs were asked for" not in text
