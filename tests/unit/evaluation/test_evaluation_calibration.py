from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import binned_statistic
from sklearn.linear_model import LogisticRegression

from daftt_core.evaluation import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
    reliability_bins,
)


def _draw(
    temperature: float, bias: list[float], count: int = 20000
) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / temperature + bias)."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 3, (count, len(bias)))
    true = np.exp(log_softmax(logits / temperature + np.asarray(bias), axis=1))
    gold = (rng.random((count, 1)) > true.cumsum(axis=1)).sum(axis=1)
    return logits, gold


def test_the_fit_recovers_the_temperature_and_biases_that_made_the_labels() -> None:
    logits, gold = _draw(2.5, [0.6, -0.5, -0.1])
    fit = fit_calibration([logits], gold)
    assert 1 / fit.weights[0] == pytest.approx(2.5, rel=0.05)
    assert fit.bias == pytest.approx((0.6, -0.5, -0.1), abs=0.06)
    assert sum(fit.bias) == pytest.approx(0, abs=1e-4)


def test_two_labels_agree_with_sklearn_logistic_regression() -> None:
    """With two labels, vector scaling is logistic regression on the difference of the logits."""
    logits, gold = _draw(1.7, [0.4, -0.4], count=4000)
    fit = fit_calibration([logits], gold)
    difference = (logits[:, 1] - logits[:, 0])[:, None]
    reference = LogisticRegression(C=1e6).fit(difference, gold)
    assert fit.weights[0] == pytest.approx(reference.coef_[0, 0], rel=0.01)
    assert fit.bias[1] - fit.bias[0] == pytest.approx(reference.intercept_[0], abs=0.01)


def test_two_opinions_agree_with_sklearn_logistic_regression() -> None:
    """With two labels, a pool of opinions is logistic regression on the differences of each."""
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 2, 4000)
    signal = (2 * gold - 1)[:, None] * np.array([-0.5, 0.5])
    opinions = [
        log_softmax(strength * signal + rng.normal(0, 1, (4000, 2)), axis=1)
        for strength in (2.0, 1.0)
    ]
    fit = fit_calibration(opinions, gold)
    differences = np.stack([table[:, 1] - table[:, 0] for table in opinions], axis=1)
    reference = LogisticRegression(C=1e6).fit(differences, gold)
    assert fit.weights == pytest.approx(reference.coef_[0], rel=0.01)
    assert fit.bias[1] - fit.bias[0] == pytest.approx(reference.intercept_[0], abs=0.01)
    alone = fit_calibration(opinions[:1], gold)
    right = [
        (fitted.apply(*some).argmax(axis=1) == gold).mean()
        for fitted, some in ((alone, opinions[:1]), (fit, opinions))
    ]
    assert right[1] > right[0]


def test_an_opinion_that_is_noise_or_worse_counts_nothing() -> None:
    logits, gold = _draw(1.0, [0.0, 0.0], count=4000)
    fit = fit_calibration([logits, -logits], gold)
    assert fit.weights[1] == pytest.approx(0, abs=0.02)


def test_the_temperature_alone_agrees_with_a_scalar_search() -> None:
    logits, gold = _draw(2.0, [0.0, 0.0, 0.0])
    fit = fit_calibration([logits], gold)

    def negative_log_likelihood(temperature: float) -> float:
        return -log_softmax(logits / temperature, axis=1)[np.arange(len(gold)), gold].mean()

    best = minimize_scalar(negative_log_likelihood, bounds=(0.1, 10), method="bounded")
    assert 1 / fit.weights[0] == pytest.approx(best.x, rel=0.01)


def test_fitting_lowers_the_calibration_error_of_an_overconfident_model() -> None:
    logits, gold = _draw(3.0, [0.5, -0.5])
    before = expected_calibration_error(Calibration(bias=(0.0, 0.0)).apply(logits), gold)
    after = expected_calibration_error(fit_calibration([logits], gold).apply(logits), gold)
    assert before > 0.15
    assert after < 0.02


@pytest.mark.parametrize("count", [1, 10])
def test_the_prior_weighs_as_much_as_its_formula_says(count: int) -> None:
    """At the best fit each bias is what its label has too little of: the prior's slope is 1."""
    fit = fit_calibration([[[-0.1, -2.4]] * count], [0] * count)
    lacking = count * (1 - fit.apply([[-0.1, -2.4]])[0, 0])
    assert fit.bias == pytest.approx((lacking, -lacking), rel=0.01)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_examples_that_are_all_right_give_a_finite_moderate_fit(count: int) -> None:
    fit = fit_calibration([[[-0.1, -2.4]] * count], [0] * count)
    assert 1.0 <= fit.weights[0] < 10
    assert max(map(abs, fit.bias)) < 3


def test_a_label_of_probability_zero_is_handled() -> None:
    fit = fit_calibration([[[0.0, -np.inf], [-np.inf, 0.0], [0.0, -np.inf]]], [0, 1, 1])
    probs = fit.apply([[0.0, -np.inf]])
    assert np.isfinite(probs).all()
    assert probs.sum() == pytest.approx(1)


def test_calibration_survives_json() -> None:
    fit = Calibration(weights=(0.8, 0.3), bias=(0.5, -0.5))
    assert Calibration.model_validate_json(fit.model_dump_json()) == fit


@pytest.mark.parametrize(
    ("log_probs", "gold", "message"),
    [
        (np.zeros((0, 2)), [], "not empty"),
        ([[0.0, 1.0]], [0, 1], "shape"),
        ([[0.0, 1.0]], [2], "from 0 to 1"),
        ([[0.0, np.nan]], [0], "NaN"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(log_probs: object, gold: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_calibration([log_probs], gold)  # type: ignore[list-item]


def test_too_few_biases_are_refused() -> None:
    with pytest.raises(ValueError, match="3 labels, but there are 2 biases"):
        Calibration(bias=(0.0, 0.0)).apply([[0.0, 1.0, 2.0]])


def test_another_number_of_opinions_is_refused() -> None:
    with pytest.raises(ValueError, match="2 opinions, but there are 1 weights"):
        Calibration(bias=(0.0, 0.0)).apply([[0.0, 1.0]], [[0.0, 1.0]])


def test_bins_of_a_small_table_worked_by_hand() -> None:
    probs = [[0.95, 0.05], [0.91, 0.09], [0.4, 0.6], [0.35, 0.65], [0.7, 0.3]]
    bins = reliability_bins(probs, [0, 1, 1, 0, 0])
    assert [bin_.count for bin_ in bins] == [1, 2, 2]  # 0.6 | 0.65 0.7 | 0.91 0.95
    assert [bin_.confidence for bin_ in bins] == pytest.approx([0.6, 0.675, 0.93])
    assert [bin_.accuracy for bin_ in bins] == pytest.approx([1.0, 0.5, 0.5])
    expected = 0.2 * 0.4 + 0.4 * 0.175 + 0.4 * 0.43
    assert expected_calibration_error(probs, [0, 1, 1, 0, 0]) == pytest.approx(expected)


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(2, 5), st.integers(1, 20))
def test_bins_agree_with_scipy(seed: int, count: int, labels: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    probs, gold = rng.dirichlet(np.ones(labels), count), rng.integers(0, labels, count)
    found = reliability_bins(probs, gold, bins)
    right = (probs.argmax(axis=1) == gold).astype(float)
    edges = np.linspace(0, 1, bins + 1)
    means, _, _ = binned_statistic(probs.max(axis=1), right, "mean", bins=edges)
    counts, _, _ = binned_statistic(probs.max(axis=1), right, "count", bins=edges)
    assert [bin_.count for bin_ in found] == [int(c) for c in counts if c]
    assert [bin_.accuracy for bin_ in found] == pytest.approx(list(means[~np.isnan(means)]))
    assert 0 <= expected_calibration_error(probs, gold, bins) <= 1


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    bins = reliability_bins([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]], [0, 0, 0], bins=2)
    assert [bin_.count for bin_ in bins] == [1, 2]
