"""The probability of each label of a set, on an engine whose scores are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from daftt_core.engines import LabelSetScorer
from daftt_core.errors import ModelError
from daftt_core.evaluation import Calibration, LabelSetCalibration
from daftt_core.records import Example
from daftt_core.synthesis.outputs import _draw_set
from daftt_core.tasks import Label, Prompt, Task

TASK = Task(
    id="words",
    kind="multilabel",
    description="Words.",
    definition="Say which words there are.",
    writing_definition="Write the words.",
    labels=tuple(Label(name=name, verbalizer=name) for name in ("ant", "bee", "cat")),
)
EXAMPLES = [Example.of("an ant and a cat"), Example.of("nothing")]


class Reader:
    """Says yes, 9 to 1, where a label is in the input, and 1 to 4 where it is not."""

    broken = False

    def score(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> NDArray[np.float64]:
        assert list(answers) == [" yes", " no"]
        held = [prompt.suffix.split('"')[1] in prompt.body for prompt in prompts]
        scores = np.log([[0.9, 0.1] if each else [0.2, 0.8] for each in held]) - 5.0
        return np.full_like(scores, np.nan) if self.broken else scores


def scorer(*, correct_prior: bool) -> LabelSetScorer:
    return LabelSetScorer(Reader(), TASK, correct_prior=correct_prior)  # type: ignore[arg-type]


def test_each_label_has_a_probability_of_its_own() -> None:
    found = expit(scorer(correct_prior=False).log_odds(EXAMPLES))
    assert found == pytest.approx(np.array([[0.9, 0.2, 0.9], [0.2, 0.2, 0.2]]))


def test_what_it_says_of_inputs_without_content_is_divided_out() -> None:
    found = scorer(correct_prior=True)
    assert expit(found.prior()) == pytest.approx([0.2] * 3)
    odds = np.exp(found.log_odds(EXAMPLES)[0])
    assert odds == pytest.approx([9 / (1 / 4), 1, 9 / (1 / 4)])


def test_calibration_is_of_each_label_apart() -> None:
    halved = Calibration(weights=(0.5,), bias=(0.0, 0.0))
    as_is = Calibration(bias=(0.0, 0.0))
    fitted = LabelSetCalibration(by_label=(halved, as_is, as_is), thresholds=(0.5,) * 3)
    found = fitted.apply(scorer(correct_prior=False).log_odds(EXAMPLES))
    assert found[0] == pytest.approx([0.75, 0.2, 0.9])  # 3 to 1: the root of 9 to 1


def test_scores_that_are_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "broken", True)
    with pytest.raises(ModelError, match="are no numbers"):
        scorer(correct_prior=False).log_odds(EXAMPLES)


def test_labels_are_drawn_by_their_distance_from_their_thresholds() -> None:
    probs, thresholds = np.array([0.5, 0.3, 0.2, 0.0]), (0.6, 0.2, 0.2, 0.5)
    assert _draw_set(probs, thresholds, 0.0, seed=1) == [1, 2]
    draws = [_draw_set(probs, thresholds, 1.0, seed) for seed in range(2000)]
    shares = [sum(label in chosen for chosen in draws) / len(draws) for label in range(4)]
    # odds of 1 to (3/2), (3/7) to (1/4) and 1 to 1
    assert shares == pytest.approx([2 / 5, 12 / 19, 1 / 2, 0], abs=0.04)
    assert {tuple(_draw_set(probs, thresholds, 0.01, seed)) for seed in range(20)} == {(1,), (1, 2)}
