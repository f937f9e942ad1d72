"""Texts as counts of hashed n-grams: an embedding that needs no model and keeps no text.

Three letters in a row, within words, say enough of topic, style and language, in any script. The
hash (MurmurHash3, as scikit-learn has it) is the same on every machine, so counts that were kept
can be compared with counts that are made later.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from daftt_core.records import Example, normalize

__all__ = ["WIDTH", "count_ngrams", "weigh"]

WIDTH = 2**14
"""Columns; some n-grams share one."""

_MOST = 255  # a count is kept in one byte


def count_ngrams(examples: Sequence[Example]) -> sparse.csr_array:
    """Counts of hashed n-grams, shape [examples, :data:`WIDTH`], unsigned bytes."""
    from sklearn.feature_extraction.text import HashingVectorizer

    if not examples:
        return sparse.csr_array((0, WIDTH), dtype=np.uint8)
    vectorizer = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=(3, 3),
        n_features=WIDTH,
        alternate_sign=False,
        norm=None,
        preprocessor=normalize,
    )
    texts = [" ".join(filter(None, (one.text, one.text_pair))) for one in examples]
    counts = sparse.csr_array(vectorizer.transform(texts))
    counts.data = np.minimum(counts.data, _MOST).astype(np.uint8)
    return counts


def weigh(counts: sparse.csr_array) -> sparse.csr_array:
    """Rows of length 1 (0 for a text without n-grams), rare n-grams weighing more.

    The logarithm of 1 + count times the inverse document frequency in these rows.
    """
    found = np.bincount(counts.indices, minlength=WIDTH)
    rarity = np.log((1 + counts.shape[0]) / (1 + found)) + 1
    weighed = counts.astype(np.float64)
    weighed.data = np.log1p(weighed.data) * rarity[weighed.indices]
    lengths = np.sqrt(weighed.multiply(weighed).sum(axis=1))
    weighed.data /= np.repeat(np.maximum(lengths, 1e-12), np.diff(weighed.indptr))
    return weighed
