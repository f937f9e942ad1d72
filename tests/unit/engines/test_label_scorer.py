"""The distribution over labels, on an engine whose scores are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from toy_task import write_task

from daftt_core.engines import ChannelScorer, Completion, LabelScorer
from daftt_core.errors import ModelError
from daftt_core.records import Example
from daftt_core.tasks import Prompt, Task, load_task


class Leaning:
    """Prefers one label whatever it is asked, and twice as much where the input says so."""

    def __init__(self, leaning: Sequence[float]) -> None:
        self._leaning = np.log(leaning)
        self.asked: list[str] = []

    def score(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> NDArray[np.float64]:
        self.asked += [prompt.body.strip() for prompt in prompts]
        said = [[np.log(4.0) if a.strip() in p.body else 0.0 for a in answers] for p in prompts]
        return np.asarray(said) + self._leaning - 3.0

    def write(self, *_: object, **__: object) -> list[Completion]:
        raise AssertionError("a label is never read from a written answer")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return load_task(str(write_task(tmp_path)))


def scorer(task: Task, **settings: object) -> tuple[LabelScorer, Leaning]:
    engine = Leaning([0.9, 0.1])
    return LabelScorer(engine, task, **settings), engine  # type: ignore[arg-type]


def asking(task: Task) -> list[Example]:
    return [Example.of(f"it is {label.verbalizer} here") for label in task.labels[:1]]


def test_a_leaning_that_has_nothing_to_do_with_the_input_is_divided_out(task: Task) -> None:
    found, engine = scorer(task, correct_prior=True)
    assert np.exp(found.log_prior()) == pytest.approx([0.9, 0.1])
    assert np.exp(found.log_probs(asking(task)))[0] == pytest.approx([0.8, 0.2])  # 4 to 1
    found.log_probs(asking(task))
    assert engine.asked.count("N/A") == 1  # measured once


def test_without_the_correction_the_leaning_counts(task: Task) -> None:
    found, engine = scorer(task, correct_prior=False)
    assert np.exp(found.log_probs(asking(task)))[0] == pytest.approx(
        [36 / 37, 1 / 37]
    )  # 4 x 9 to 1
    assert "N/A" not in engine.asked


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("correct_prior", [True, False])
def test_a_score_that_is_no_number_gives_no_label(
    task: Task, number: float, correct_prior: bool
) -> None:
    found, engine = scorer(task, correct_prior=correct_prior)
    engine._leaning = np.array([0.0, number])
    with pytest.raises(ModelError, match="scores of the labels are no numbers"):
        found.log_probs(asking(task))


def test_a_label_too_long_to_have_a_probability_has_a_score_all_the_same(task: Task) -> None:
    found, engine = scorer(task, correct_prior=True)
    engine._leaning = np.array([-1.0, -2000.0])  # exp() of less than -745 is 0
    assert found.log_prior()[1] == pytest.approx(-1999.0)
    assert np.exp(found.log_probs(asking(task)))[0] == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_text_whose_confidence_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(ModelError, match="the teacher's probabilities are no numbers"):
        Completion(text="a", finished=True, confidence=number)


class Reader:
    """Finds a text as likely as the number of its words that the prompt's label begins with."""

    def __init__(self, *, knows: bool = True) -> None:
        self.knows = knows
        self.most: set[int] = set()

    def read(
        self, prompts: Sequence[Prompt], texts: Sequence[str], most_tokens: int
    ) -> NDArray[np.float64] | None:
        self.most.add(most_tokens)
        if not self.knows:
            return None
        wanted = [prompt.body.strip()[:1] for prompt in prompts]
        found = [[sum(w[0] == letter for w in text.split()) for letter in wanted] for text in texts]
        return np.asarray(found) - 40.0


def test_an_input_speaks_for_the_label_after_which_it_is_likeliest(task: Task) -> None:
    reader = Reader()
    inputs = [Example.of("keen kitchens keep"), Example.of("unduly unkind")]
    found = ChannelScorer(reader, task).log_probs(inputs)  # type: ignore[arg-type]
    assert found is not None
    # kind against unkind: e to the power of 3, and of -2
    assert np.exp(found[:, 0]) == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(2))])
    assert reader.most == {128}


def test_an_engine_that_cannot_read_has_no_opinion(task: Task) -> None:
    scorer = ChannelScorer(Reader(knows=False), task)  # type: ignore[arg-type]
    assert scorer.log_probs([Example.of("a")]) is None


def test_a_text_whose_likelihood_is_no_number_gives_no_label(task: Task) -> None:
    class Broken(Reader):
        def read(self, *_: object, **__: object) -> NDArray[np.float64]:
            return np.array([[-1.0, np.nan]])

    with pytest.raises(ModelError, match="scores of the labels are no numbers"):
        ChannelScorer(Broken(), task).log_probs([Example.of("a")])  # type: ignore[arg-type]
