"""Text outputs: one or several for each input, every one of them accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from daftt_core.config import StudentConfig, SynthesisConfig
from daftt_core.engines import Completion
from daftt_core.records import Example, SyntheticExample, seed_for
from daftt_core.synthesis.outputs import Outputs
from daftt_core.tasks import Form, Prompt, Task
from daftt_core.workspace import Run

TITLES = Task(
    id="titles",
    kind="text2text",
    description="Titles.",
    definition="Write a title.",
    writing_definition="Write a text.",
)
ONE_LINE = Form()
RUN = Run(uri="runs/x", seed=3, task=TITLES)
INPUT = SyntheticExample(**Example.of("A long text.").model_dump(), source="annotated")


class Scripted:
    """An engine that writes what it is told to, and remembers how it was asked."""

    def __init__(self, *texts: tuple[str, float, bool]) -> None:
        self._completions = [Completion(text, done, prob) for text, prob, done in texts]
        self.seeds: list[int] = []
        self.how: dict[str, Any] = {}

    def write(
        self, prompts: Sequence[Prompt], seeds: Sequence[int], **how: Any
    ) -> list[Completion]:
        self.seeds, self.how = list(seeds), how
        assert len(prompts) == len(seeds) == len(self._completions)
        return self._completions


def answer(
    engine: Scripted, made: list[SyntheticExample], form: Form = ONE_LINE, **settings: Any
) -> list[Any]:
    config = SynthesisConfig(**settings)
    outputs = Outputs(RUN, config, engine, "", form, StudentConfig())  # type: ignore[arg-type]
    return outputs.give(made, temperature=0.0)


def test_the_sample_that_agrees_most_is_kept_with_its_agreement() -> None:
    engine = Scripted(
        (" Cats in the garden", 0.9, True),
        (" Two cats in the garden", 0.6, True),
        (" Dogs", 0.99, True),
    )
    (made,) = answer(engine, [INPUT], samples=3)
    # 4 of 4 and of 5 words in common: the F-measure is 8/9, and with the third it is 0
    assert made.output == "Cats in the garden"
    assert made.confidence == pytest.approx(4 / 9)
    assert made.problem is None
    assert [(one.text, one.agreement) for one in made.samples] == [
        ("Cats in the garden", pytest.approx(4 / 9)),
        ("Two cats in the garden", pytest.approx(4 / 9)),
        ("Dogs", 0),
    ]
    assert [one.probability for one in made.samples] == [0.9, 0.6, 0.99]


def test_samples_are_drawn_by_run_example_and_number() -> None:
    other = INPUT.model_copy(update={"id": "other"})
    engine = Scripted(*[(" A title", 0.5, True)] * 4)
    answer(engine, [INPUT, other], samples=2, annotate_temperature=0.3)
    assert engine.seeds == [
        seed_for(3, "output", id_, number) for id_ in (INPUT.id, "other") for number in "01"
    ]
    assert engine.how["temperature"] == 0.3


def test_a_sample_that_did_not_end_or_is_empty_is_never_kept() -> None:
    engine = Scripted((" The end", 0.9, False), (" ", 0.9, True), (" An end", 0.1, True))
    (made,) = answer(engine, [INPUT], samples=3)
    assert (made.output, made.confidence, made.problem) == ("An end", 0.0, None)
    assert [one.problem for one in made.samples] == ["unfinished", "empty", None]
    engine = Scripted((" ", 0.9, True), (" The end", 0.9, False))
    (made,) = answer(engine, [INPUT], samples=2)
    assert (made.output, made.problem, len(made.samples)) == (None, "empty", 2)


def test_a_single_text_has_the_models_own_probability_as_its_confidence() -> None:
    engine = Scripted((" A title", 0.7, True))
    (made,) = answer(engine, [INPUT])
    assert (made.output, made.confidence, made.samples) == ("A title", 0.7, ())
    assert engine.how["temperature"] == 0.0


POEM = "Roses are red,\nviolets are blue.\n\nInput: none."


def test_a_text_of_several_lines_is_kept_whole_where_the_tasks_own_texts_have_several() -> None:
    form = Form.of(["one line", "two\nlines"])
    engine = Scripted((f" {POEM}", 0.7, True))
    (made,) = answer(engine, [INPUT], form)
    assert (made.output, made.problem) == (POEM, None)
    assert "\n\nInput:" in engine.how["stops"]
    (made,) = answer(engine, [INPUT])
    assert made.output == "Roses are red,"
    assert engine.how["stops"] == ("\n\n",)


def test_samples_of_several_lines_agree_by_all_their_lines() -> None:
    form = Form.of(["two\nlines"])
    engine = Scripted(
        (" a b\nc d", 0.5, True),
        (" a b\nx y", 0.9, True),
        (" q b\nc d", 0.1, True),
    )
    (made,) = answer(engine, [INPUT], form, samples=3)
    # with the first line alone the first two would agree wholly, and the second be kept
    assert made.output == "a b\nc d"
    assert made.confidence == pytest.approx((2 / 4 + 3 / 4) / 2)
