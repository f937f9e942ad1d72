"""Intervals and tests for arms that share their seeds and their test examples.

Every statistic works on a matrix of scores, one row a seed and one column a test example, so that
right or wrong (0 or 1) and a text's overlap with its reference (0 to 1) are treated alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from daftt_core.evaluation.models import Interval
from daftt_core.telemetry import Progress

Floats = npt.NDArray[np.float64]

_CHUNK_NUMBERS = 2_000_000  # weights drawn at once: 16 MB
_NEARLY = 1e-9  # equal sums differ in their last digits


def bootstrap_means(
    scores: Floats,
    resamples: int,
    seed: int,
    name: str = "compare arms",
    drawn: int | None = None,
) -> Floats:
    """Return mean scores of all arms in resamples of the seeds and of the test examples.

    Each resample draws seeds with replacement and, independently, test examples with replacement,
    the same for all arms; so the difference of two columns is a paired resample of their gain.
    Seeds and examples are crossed (every student answers every example), which makes this the
    pigeonhole bootstrap: A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics
    1(2), 2007. It overstates the variance slightly where many seeds are given; with two or three
    it sees less variance between seeds than there is, as every bootstrap of so few does.

    Args:
        scores: Shape [arms, seeds, examples].
        resamples: How many to draw.
        seed: Seed of the random generator.
        name: Name of the work, for the progress.
        drawn: How many seeds a resample draws; None: as many as there are.

    Returns:
        Shape [resamples, arms].
    """
    arms, seeds, examples = scores.shape
    drawn = drawn or seeds
    rng = np.random.default_rng(seed)
    columns = np.ascontiguousarray(scores.reshape(arms * seeds, examples).T)
    progress = Progress(name, resamples, "resamples")
    means = np.empty((resamples, arms))
    step = max(1, _CHUNK_NUMBERS // examples)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        example_weights = rng.multinomial(examples, np.full(examples, 1 / examples), size=count)
        seed_weights = rng.multinomial(drawn, np.full(seeds, 1 / seeds), size=count)
        by_seed = (example_weights @ columns).reshape(count, arms, seeds)
        weighted = np.einsum("ras,rs->ra", by_seed, seed_weights)
        means[start : start + count] = weighted / (drawn * examples)
        progress.advance(count)
    return means


def bootstrap_draws(
    scores: Floats, resamples: int, seed: int, name: str = "compare arms"
) -> Floats:
    """Return mean scores of all arms in resamples of the draws of labels and of the test examples.

    A draw is taken as a whole, with the students of all its seeds, since students of one draw share
    their labels and their teacher: what differs between draws holds what differs between seeds (A.
    C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). Of
    n draws each resample takes n - 1: then the variance is not too small by the factor (n - 1) / n,
    a third for three draws (J. N. K. Rao and C. F. J. Wu, "Resampling inference with complex survey
    data", Journal of the American Statistical Association 83, 1988). Test examples are crossed with
    draws, as with seeds in :func:`bootstrap_means`. With one draw, seeds are resampled instead, and
    nothing is said about other draws.

    Args:
        scores: Shape [arms, draws, seeds, examples].
        resamples: How many to draw.
        seed: Seed of the random generator.
        name: Name of the work, for the progress.

    Returns:
        Shape [resamples, arms].
    """
    draws = scores.shape[1]
    if draws == 1:
        return bootstrap_means(scores[:, 0], resamples, seed, name)
    return bootstrap_means(scores.mean(axis=2), resamples, seed, name, drawn=draws - 1)


def percentile_interval(samples: Floats, confidence: float) -> Interval:
    """Return the interval that leaves the same share of the samples outside on either side."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))


def sign_flip_p(differences: Floats, resamples: int, seed: int) -> float:
    """Return how often chance makes paired differences add up to as little as they do.

    Where neither of two models is better, each difference is as likely with the other sign. Of
    right-or-wrong answers this is the sign test (McNemar's); the real signs are counted among the
    resamples, so it errs in no more cases than its p value says, however few examples there are
    (B. Phipson and G. K. Smyth, 2010).

    Args:
        differences: Scores of one model less those of the other, shape [examples].
        resamples: How many times to draw the signs.
        seed: Seed of the random generator.

    Returns:
        The one-sided p value of the sum being below 0.

    Raises:
        ValueError: A difference is NaN or infinite.
    """
    if not np.isfinite(differences).all():
        raise ValueError("differences: must be finite")
    moved = differences[differences != 0]
    if not moved.size:
        return 1.0
    rng = np.random.default_rng(seed)
    total = float(moved.sum()) + _NEARLY
    step = max(1, _CHUNK_NUMBERS // moved.size)
    as_low = 0
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        signs = 2.0 * rng.integers(0, 2, size=(count, moved.size)) - 1
        as_low += int(np.count_nonzero(signs @ moved <= total))
    return (1 + as_low) / (1 + resamples)


def majority_vote(votes: npt.NDArray[np.int64], probs: Floats) -> npt.NDArray[np.int64]:
    """Return the label most seeds give to each example.

    McNemar's test needs one answer per example and arm: the answers of several seeds to the same
    example are not independent, so adding up their tables would overstate the evidence.

    Args:
        votes: Label index, shape [seeds, examples].
        probs: Probability of each label, shape [seeds, examples, labels]; its mean over the seeds
            decides a tie, and the label order where that is tied too.

    Returns:
        Label index, shape [examples].
    """
    labels = probs.shape[2]
    counts = (votes[:, :, None] == np.arange(labels)).sum(axis=0)
    # a probability is at most 1, so half of it never outweighs a vote
    return np.asarray((counts + probs.mean(axis=0) / 2).argmax(axis=1))


def mcnemar_mid_p(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Return the two-sided mid-p value of McNemar's test of two classifiers on the same examples.

    M. W. Fagerland, S. Lydersen, P. Laake, "The McNemar test for binary matched-pairs data: mid-p
    and asymptotic are better than exact conditional", BMC Medical Research Methodology 13:91,
    2013. It serves few and many discordant pairs alike.

    Args:
        first: Whether the first is right, shape [examples].
        second: Whether the second is right, same shape.

    Returns:
        The p value; 1 where the two are right on the same examples.
    """
    from scipy.stats import binom

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    if discordant == 0:
        return 1.0
    point = float(binom.pmf(fewer, discordant, 0.5))
    if only_first == only_second:
        return 1.0 - point / 2
    return 2.0 * float(binom.cdf(fewer, discordant, 0.5)) - point


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for multiple tests; returns them in the order given.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return [float(value) for value in corrected]


def gap_closed(score: float, real: float, gold: float) -> float | None:
    """Return the share of the distance from ``real`` to ``gold`` that ``score`` covers.

    Returns:
        Negative below ``real``, above 1 beyond ``gold``; None where there is no gap to close.
    """
    return (score - real) / (gold - real) if gold > real else None
