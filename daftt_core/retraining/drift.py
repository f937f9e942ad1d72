"""Two-sample tests whose false alarms are bounded, whatever the rows are drawn from.

Both are permutation tests: the statistic is compared with what it would be had chance decided which
rows are new. When old and new rows come from one population every such division is as likely as the
real one, so the p value lies at or below alpha in at most a share alpha of cases, for every number
of rows and every distribution (E. J. G. Pitman 1937; with the real division counted among them: B.
Phipson and G. K. Smyth, "Permutation p-values should never be zero", 2010). Rows that are known
already are not new, so this does not hold for data that often repeat themselves (ADR 25).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import sparse

from daftt_core.data.population import weigh
from daftt_core.errors import DataError

_BATCH = 100
_MIN_PERMUTATIONS = 999
_TOLERANCE = 1 - 1e-9  # equal statistics differ in their last digits


def permutations_for(alpha: float) -> int:
    """Return a number of permutations that can tell p values far below ``alpha`` from it."""
    return max(_MIN_PERMUTATIONS, math.ceil(20 / alpha) - 1)


def inputs_differ(
    old: sparse.csr_array, new: sparse.csr_array, seed: int, permutations: int
) -> float:
    """Return the p value of two samples of texts having one distribution.

    The statistic is the squared distance between the means of the two: the maximum mean discrepancy
    (A. Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012) with the cosine of the weighed
    n-grams as its kernel.

    Args:
        old: Counts of n-grams, one row a text, at least one.
        new: The same of the other sample.
        seed: Decides the permutations.
        permutations: Number of permutations.

    Raises:
        DataError: A count is NaN or infinite.
    """
    rows = weigh(sparse.csr_array(sparse.vstack([old, new])))
    division = np.repeat([1 / old.shape[0], -1 / new.shape[0]], [old.shape[0], new.shape[0]])
    observed = _squared_lengths(rows, division[None, :])[0]
    if not math.isfinite(observed):  # no permutation reaches NaN, which would pass for drift
        raise DataError("the inputs that are compared hold counts that are no numbers")
    generator = np.random.default_rng(seed)
    exceeding = 0
    for start in range(0, permutations, _BATCH):
        copies = np.tile(division, (min(_BATCH, permutations - start), 1))
        permuted = generator.permuted(copies, axis=1)
        exceeding += int((_squared_lengths(rows, permuted) >= observed * _TOLERANCE).sum())
    return (1 + exceeding) / (1 + permutations)


def _squared_lengths(rows: sparse.csr_array, divisions: np.ndarray) -> np.ndarray:
    differences = rows.T @ divisions.T
    return np.asarray((differences**2).sum(axis=0))


def labels_differ(
    old: Mapping[str, int], new: Mapping[str, int], seed: int, permutations: int
) -> float:
    """Return the p value of old and new rows having one balance of labels.

    Pearson's chi-square, with its distribution by permutation in place of the approximation, which
    does not hold for rare labels. Given the totals, the counts of the new rows are hypergeometric.

    Args:
        old: Rows by label.
        new: The same of the other sample; at least one row.
        seed: Decides the permutations.
        permutations: Number of permutations.
    """
    names = sorted(name for name in {*old, *new} if old.get(name, 0) + new.get(name, 0))
    counts = np.array([new.get(name, 0) for name in names])
    totals = counts + np.array([old.get(name, 0) for name in names])
    expected = totals * (counts.sum() / totals.sum())
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(
        totals, int(counts.sum()), size=permutations
    )
    observed = ((counts - expected) ** 2 / totals).sum()
    statistics = ((drawn - expected) ** 2 / totals).sum(axis=1)
    exceeding = int((statistics >= observed * _TOLERANCE).sum())
    return (1 + exceeding) / (1 + permutations)
