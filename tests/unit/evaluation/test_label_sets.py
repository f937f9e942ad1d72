"""Thresholds, calibration and metrics of sets of labels, against scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import accuracy_score, f1_score

from daftt_core.evaluation import score, score_examples
from daftt_core.evaluation.label_sets import (
    choose_thresholds,
    decide_in_halves,
    fit_label_sets,
    label_decisions,
    label_matrix,
    majority_of_labels,
    outputs_of,
    probability_matrix,
)
from daftt_core.evaluation.slices import slices_of
from daftt_core.tasks import Label, Task

NAMES = ("a", "b", "c", "d")
TASK = Task(
    id="letters",
    kind="multilabel",
    description="Letters.",
    definition="Say which letters.",
    writing_definition="Write letters.",
    labels=tuple(Label(name=name, verbalizer=name) for name in NAMES),
)


def drawn(seed: int, examples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds and the truth that they are right about."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-0.5, 2.0, (examples, len(NAMES)))
    return log_odds, rng.random(log_odds.shape) < expit(log_odds)


@pytest.mark.parametrize(
    ("metric", "average", "options"),
    [
        ("example_f1", "samples", {"zero_division": 1.0}),
        ("micro_f1", "micro", {}),
        ("label_f1", "macro", {}),
    ],
)
def test_scores_are_those_of_scikit_learn(metric: str, average: str, options: dict) -> None:
    log_odds, gold = drawn(1)
    predicted = log_odds > 0.7
    assert not gold.any(axis=1).all()  # some sets are empty
    said, true = outputs_of(TASK, predicted), outputs_of(TASK, gold)
    expected = f1_score(gold, predicted, average=average, **options)
    assert score(metric, said, true) == pytest.approx(expected)
    assert score("subset_accuracy", said, true) == accuracy_score(gold, predicted)


def test_two_empty_sets_are_equal() -> None:
    assert score_examples("example_f1", ["none", "none", "a"], ["none", "a", "a; b"]) == (
        pytest.approx([1, 0, 2 / 3])
    )
    assert score("micro_f1", ["none"], ["none"]) == score("label_f1", ["none"], ["none"]) == 1


def test_sets_become_a_matrix_and_back() -> None:
    outputs = ["a; c", "none", "d"]
    matrix = label_matrix(TASK, outputs)
    assert matrix.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert outputs_of(TASK, matrix) == outputs
    rows = [dict(zip(NAMES, (0.1, 0.2, 0.3, 0.4), strict=True))]
    assert probability_matrix(TASK, rows).tolist() == [[0.1, 0.2, 0.3, 0.4]]


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_gives_a_label_a_better_f1(seed: int) -> None:
    log_odds, gold = drawn(seed, examples=60)
    probs = np.round(expit(log_odds), 1)  # many are equal
    for threshold, column, truth in zip(
        choose_thresholds(probs, gold), probs.T, gold.T, strict=True
    ):
        best = max(f1_score(truth, column >= cut) for cut in np.arange(0.05, 1, 0.1))
        assert f1_score(truth, column >= threshold) == pytest.approx(best)


def test_of_equally_good_thresholds_the_one_closest_to_a_half_is_taken() -> None:
    probs = np.array([[0.9], [0.9], [0.8], [0.8], [0.8], [0.3], [0.1]])
    gold = np.array([[True]] * 5 + [[False]] * 2)
    assert choose_thresholds(probs, gold) == (pytest.approx(0.55),)


def test_a_rare_label_keeps_a_half() -> None:
    probs = np.linspace(0.01, 0.3, 40)[:, None]
    gold = probs > 0.28
    assert 0 < gold.sum() < 5
    assert choose_thresholds(probs, gold) == (0.5,)


def test_each_half_is_decided_with_the_thresholds_of_the_other() -> None:
    low, high = np.full((10, 1), 0.2), np.full((10, 1), 0.7)
    probs = np.concatenate([low, low / 2, high, high / 2])
    gold = np.array([[True]] * 10 + [[False]] * 10 + [[True]] * 10 + [[False]] * 10)
    half = np.repeat([0, 1], 20)
    decided = decide_in_halves(probs, gold, half)
    # 0.525, which the second half needs, is above all of the first; 0.15 is below all of the second
    assert not decided[:20].any()
    assert decided[20:].all()


def test_calibration_finds_the_scale_of_each_label() -> None:
    log_odds, gold = drawn(3, examples=4000)
    scale = np.array([1.0, 2.0, 3.0, 4.0])
    fitted = fit_label_sets(log_odds * scale, gold)
    assert [fit.weights[0] for fit in fitted.by_label] == pytest.approx(1 / scale, rel=0.1)
    assert fitted.apply(log_odds * scale) == pytest.approx(expit(log_odds), abs=0.05)
    assert type(fitted).model_validate_json(fitted.model_dump_json()) == fitted


def test_decisions_about_labels_are_a_classification_of_no_and_yes() -> None:
    probs, right = label_decisions(np.array([[0.9, 0.2]]), np.array([[True, False]]))
    assert probs == pytest.approx(np.array([[0.1, 0.9], [0.8, 0.2]]))
    assert right.tolist() == [1, 0]


def test_most_seeds_decide_and_probabilities_where_they_are_divided() -> None:
    decisions = np.array([[[1, 0, 1]], [[1, 1, 0]]], dtype=bool)
    probs = np.array([[[0.9, 0.4, 0.6]], [[0.9, 0.5, 0.2]]])
    assert majority_of_labels(decisions, probs).tolist() == [[True, False, False]]
    three = np.concatenate([decisions, decisions[1:]])
    assert majority_of_labels(three, np.concatenate([probs, probs[1:]])).tolist() == [
        [True, True, False]
    ]


def test_an_example_is_in_the_slice_of_each_of_its_labels() -> None:
    slices = slices_of(TASK, ["1", "2", "3"], ["a; b", "b", "none"], None)
    assert [(name, members.tolist()) for _, name, members in slices] == [("a", [0]), ("b", [0, 1])]
