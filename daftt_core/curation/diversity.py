"""Measures how different the synthetic inputs are from each other and from the real ones.

A teacher that writes the same sentence in other words adds examples and no information. The three
measures catch it at three sizes: words and pairs of words that repeat, whole texts that are alike,
and texts that repeat a real example.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from daftt_core.records.words import words_of
from daftt_core.stages import Diversity

_NEAR = 0.8
_AT_ONCE = 100  # texts compared with the real ones at once: bounds memory by the real ones


def distinct_share(texts: Sequence[str], words: int) -> float:
    """Return the number of different runs of ``words`` words over the number of all of them.

    Runs do not cross from one text into the next. 0 where there is none.
    """
    runs = [
        tuple(split[at : at + words])
        for split in map(words_of, texts)
        for at in range(len(split) - words + 1)
    ]
    return len(set(runs)) / len(runs) if runs else 0.0


def measure_diversity(texts: Sequence[str], real: Sequence[str]) -> Diversity | None:
    """Measure texts against each other and against real ones.

    Args:
        texts: Synthetic inputs.
        real: The labelled inputs that the teacher learned from.

    Returns:
        None where there is no text or none holds a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to load

    try:
        every = TfidfVectorizer(analyzer=words_of, sublinear_tf=True).fit_transform([*texts, *real])
    except ValueError:  # an empty vocabulary
        return None
    if not texts:
        return None
    own, real_rows = every[: len(texts)], every[len(texts) :]
    nearest = _nearest(own, real_rows) if real else None
    return Diversity(
        texts=len(texts),
        distinct_1=distinct_share(texts, 1),
        distinct_2=distinct_share(texts, 2),
        mean_similarity=_mean_similarity(own),
        nearest_real=None if nearest is None else float(np.median(nearest)),
        near_real_share=None if nearest is None else float((nearest >= _NEAR).mean()),
    )


def _nearest(own: Any, real: Any) -> Any:
    """Return for each row of ``own`` the cosine with the closest row of ``real``."""
    starts = range(0, own.shape[0], _AT_ONCE)
    parts = ((own[start : start + _AT_ONCE] @ real.T).max(axis=1) for start in starts)
    return np.concatenate([part.toarray().ravel() for part in parts])


def _mean_similarity(vectors: Any) -> float | None:
    """Return the mean cosine of different rows of length 1 or 0, from the length of their sum."""
    count = vectors.shape[0]
    if count < 2:
        return None
    total = np.asarray(vectors.sum(axis=0)).ravel()
    own = float(vectors.multiply(vectors).sum())
    return float((total @ total - own) / (count * (count - 1)))
