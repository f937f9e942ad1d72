from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, bootstrap, chi2, permutation_test

from daftt_core.evaluation.statistics import (
    bootstrap_draws,
    bootstrap_means,
    gap_closed,
    holm,
    majority_vote,
    mcnemar_mid_p,
    percentile_interval,
    sign_flip_p,
)


def test_the_bootstrap_follows_the_distribution_of_all_possible_resamples() -> None:
    """Two seeds and three examples have 4 x 27 resamples, so all of them can be listed."""
    scores = np.asarray([[0.0, 1.0, 0.5], [0.25, 0.5, 2.0]])
    everything = sorted(
        scores[np.ix_(rows, columns)].mean()
        for rows in itertools.product(range(2), repeat=2)
        for columns in itertools.product(range(3), repeat=3)
    )
    drawn = bootstrap_means(scores[None], 40_000, seed=1)[:, 0]
    for value in np.linspace(min(everything), max(everything), 30):
        expected = np.mean(np.asarray(everything) <= value + 1e-9)
        assert np.mean(drawn <= value + 1e-9) == pytest.approx(expected, abs=0.012)


def test_the_variance_of_the_bootstrap_is_the_one_worked_out_by_hand() -> None:
    """Weights of seeds and examples are independent, so variances of rows, columns and both add."""
    rng = np.random.default_rng(3)
    seeds, examples = 4, 50
    scores = rng.normal(size=(seeds, 1)) + rng.normal(size=(1, examples)) + rng.normal(size=(4, 50))
    rows = scores - scores.mean(axis=0)
    both = rows - rows.mean(axis=1, keepdims=True)
    expected = (
        np.var(scores.mean(axis=1)) / seeds
        + np.var(scores.mean(axis=0)) / examples
        + np.var(both) / (seeds * examples)
    )
    drawn = bootstrap_means(scores[None], 40_000, seed=2)[:, 0]
    assert drawn.var() == pytest.approx(expected, rel=0.03)
    assert drawn.mean() == pytest.approx(scores.mean(), abs=0.01)


def test_of_three_draws_each_resample_takes_two_and_varies_as_the_mean_of_three_does() -> None:
    by_draw = np.asarray([0.6, 0.7, 0.85])
    seeds = np.asarray([-0.1, 0.1])  # students of one draw go together, so they do not add to it
    scores = np.broadcast_to((by_draw[:, None] + seeds)[None, :, :, None], (1, 3, 2, 5))
    drawn = bootstrap_draws(scores, 40_000, seed=1)[:, 0]
    everything = [np.mean(pair) for pair in itertools.product(by_draw, repeat=2)]
    for value in sorted(set(everything)):
        expected = np.mean(np.asarray(everything) <= value + 1e-9)
        assert np.mean(drawn <= value + 1e-9) == pytest.approx(expected, abs=0.012)
    assert drawn.var() == pytest.approx(by_draw.var(ddof=1) / 3, rel=0.03)


def test_one_draw_is_resampled_by_its_seeds() -> None:
    scores = np.random.default_rng(9).random((2, 1, 3, 20))
    by_seeds = bootstrap_means(scores[:, 0], 100, seed=4)
    assert np.array_equal(bootstrap_draws(scores, 100, seed=4), by_seeds)


def test_with_one_seed_a_gain_has_the_interval_that_scipy_finds() -> None:
    rng = np.random.default_rng(4)
    real = (rng.random(300) < 0.7).astype(float)
    other = np.where(rng.random(300) < 0.3, 1.0, real)
    drawn = bootstrap_means(np.stack([real, other])[:, None, :], 20_000, seed=5)
    found = percentile_interval(drawn[:, 1] - drawn[:, 0], 0.95)
    reference = bootstrap(
        (other, real),
        lambda first, second, axis: np.mean(first - second, axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(6),
    ).confidence_interval
    assert found.low == pytest.approx(reference.low, abs=0.004)
    assert found.high == pytest.approx(reference.high, abs=0.004)


def test_pairing_takes_away_what_the_arms_share() -> None:
    rng = np.random.default_rng(7)
    hard = rng.normal(size=(1, 400))  # some examples are hard for everyone
    drawn = bootstrap_means(np.stack([hard, hard + 0.1]), 500, seed=8)
    gains = percentile_interval(drawn[:, 1] - drawn[:, 0], 0.95)
    assert gains.low == pytest.approx(0.1)
    assert gains.high == pytest.approx(0.1)
    assert percentile_interval(drawn[:, 0], 0.95).high - drawn[:, 0].mean() > 0.05


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(9)
    covered = 0
    for trial in range(200):
        noise = rng.normal(0, 1, (10, 80)) + rng.normal(0, 0.3, (10, 1)) + rng.normal(0, 1, (1, 80))
        interval = percentile_interval(bootstrap_means(noise[None], 300, trial)[:, 0], 0.95)
        covered += interval.low <= 0 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_resampling_is_repeatable_and_depends_on_its_seed() -> None:
    scores = np.random.default_rng(0).random((2, 3, 40))
    first, again = bootstrap_means(scores, 50, 1), bootstrap_means(scores, 50, 1)
    assert (first == again).all()
    assert (first != bootstrap_means(scores, 50, 2)).any()


def test_the_size_of_the_chunks_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).random((2, 3, 40))
    monkeypatch.setattr("daftt_core.evaluation.statistics._CHUNK_NUMBERS", 40 * 7)
    drawn = bootstrap_means(scores, 3000, 1)
    assert drawn.shape == (3000, 2)
    assert drawn.mean(axis=0) == pytest.approx(scores.mean(axis=(1, 2)), abs=0.01)
    assert len(np.unique(drawn[:, 0])) > 2900  # no chunk is drawn twice


def _pairs(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, ...]:
    counts = [both, only_first, only_second, neither]
    return (
        np.repeat([True, True, False, False], counts),
        np.repeat([True, False, True, False], counts),
    )


def test_mcnemar_on_the_worked_example_of_its_source() -> None:
    """Fagerland, Lydersen and Laake 2013: airway hyper-responsiveness of 21 children."""
    assert mcnemar_mid_p(*_pairs(1, 1, 7, 12)) == pytest.approx(0.0391, abs=5e-5)


def test_mcnemar_on_many_pairs_agrees_with_the_chi_square_of_agresti() -> None:
    """Agresti, Categorical Data Analysis, table 10.1: z = -4.17 for 150 against 86."""
    statistic = (86 - 150) ** 2 / (86 + 150)
    assert statistic == pytest.approx(4.17**2, abs=0.04)
    found = mcnemar_mid_p(*_pairs(794, 150, 86, 570))
    assert found == pytest.approx(chi2.sf(statistic, df=1), rel=0.1)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test_less_half_of_what_was_seen(
    only_first: int, only_second: int
) -> None:
    found = mcnemar_mid_p(*_pairs(5, only_first, only_second, 3))
    assert 0 <= found <= 1
    assert found == mcnemar_mid_p(*_pairs(0, only_second, only_first, 0))
    total = only_first + only_second
    if only_first != only_second:
        exact = binomtest(only_first, total).pvalue
        assert found == pytest.approx(exact - binom.pmf(only_first, total, 0.5), abs=1e-12)
    elif total:
        assert found == pytest.approx(1 - binom.pmf(only_first, total, 0.5) / 2)
    else:
        assert found == 1


@pytest.mark.parametrize(("better", "worse"), [(0, 6), (3, 9), (10, 12), (40, 60), (7, 2)])
def test_sign_flips_of_right_and_wrong_are_the_exact_sign_test(better: int, worse: int) -> None:
    differences = np.array([1.0] * better + [-1.0] * worse + [0.0] * 30)
    exact = binomtest(better, better + worse, alternative="less").pvalue
    found = sign_flip_p(differences, 40_000, 5)
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 40_000) + 1e-4)


def test_sign_flips_agree_with_scipys_permutation_test_of_pairs() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.random(40), rng.random(40) + 0.12
    expected = permutation_test(
        (one, other),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        alternative="less",
        n_resamples=20_000,
        vectorized=True,
        random_state=1,
    )
    assert sign_flip_p(one - other, 20_000, 3) == pytest.approx(expected.pvalue, abs=0.005)
    assert sign_flip_p(np.zeros(9), 100, 3) == 1.0
    assert sign_flip_p(np.full(40, -0.1), 999, 3) == 0.001


def test_holm_on_a_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] * (len(p_values) - step) > 0.05:
            break
        rejected.add(index)
    corrected = holm(p_values)
    assert {i for i, p in enumerate(corrected) if p <= 0.05} == rejected
    assert all(new >= old for new, old in zip(corrected, p_values, strict=True))


def test_the_majority_decides_and_then_the_probability() -> None:
    votes = np.asarray([[0, 0, 1], [1, 1, 2], [1, 2, 0]])
    probs = np.full((3, 3, 3), 0.2)
    probs[:, 0, 0] = 0.99  # sure, but outvoted
    probs[2, 1, 2] = 0.9  # three ways: the third seed is surest
    assert majority_vote(votes, probs).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("score", "real", "gold", "expected"),
    [(0.8, 0.7, 0.9, 0.5), (0.6, 0.7, 0.9, -0.5), (0.9, 0.7, 0.8, 2.0)],
)
def test_the_share_of_the_gap(score: float, real: float, gold: float, expected: float) -> None:
    assert gap_closed(score, real, gold) == pytest.approx(expected)


@pytest.mark.parametrize("gold", [0.7, 0.6])
def test_where_there_is_no_gap_no_share_is_closed(gold: float) -> None:
    assert gap_closed(0.8, 0.7, gold) is None
