"""Diversity against counts by hand and against scikit-learn's pairwise similarities."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from daftt_core.curation.diversity import distinct_share, measure_diversity

REAL = ["the soup was cold and thin", "a warm and friendly place", "I would come again"]
WRITTEN = [
    "the soup was warm",
    "the soup was cold",
    "friendly people and a good soup",
    "never again would I come",
]


def test_distinct_share_is_the_count_by_hand() -> None:
    texts = ["a a b", "A b"]
    assert distinct_share(texts, 1) == pytest.approx(2 / 5)  # a, b of a a b a b
    assert distinct_share(texts, 2) == pytest.approx(2 / 3)  # (a a), (a b) of (a a), (a b), (a b)
    assert distinct_share(["one"], 2) == 0.0
    assert distinct_share([], 1) == 0.0


def test_similarities_are_those_of_all_pairs() -> None:
    found = measure_diversity(WRITTEN, REAL)
    words = r"(?u)\b\w+\b"
    vectors = TfidfVectorizer(token_pattern=words, sublinear_tf=True).fit_transform(WRITTEN + REAL)
    own, real = vectors[: len(WRITTEN)], vectors[len(WRITTEN) :]
    among = cosine_similarity(own)[np.triu_indices(len(WRITTEN), k=1)]
    nearest = cosine_similarity(own, real).max(axis=1)
    assert found is not None
    assert found.mean_similarity == pytest.approx(among.mean())
    assert found.nearest_real == pytest.approx(np.median(nearest))
    assert found.near_real_share == (nearest >= 0.8).mean()


def test_copies_of_real_texts_are_told() -> None:
    found = measure_diversity([text.upper() for text in REAL], REAL)
    assert found is not None
    assert found.nearest_real == pytest.approx(1.0)
    assert found.near_real_share == 1.0


def test_one_text_again_and_again_is_the_least_diverse() -> None:
    same = measure_diversity(["good soup"] * 10, REAL)
    varied = measure_diversity(WRITTEN, REAL)
    assert same is not None
    assert varied is not None
    assert same.mean_similarity == pytest.approx(1.0)
    assert varied.mean_similarity is not None
    assert varied.mean_similarity < 0.5
    assert same.distinct_1 == pytest.approx(2 / 20)


def test_what_cannot_be_measured_is_not_made_up() -> None:
    assert measure_diversity([], REAL) is None
    assert measure_diversity(["...", "!"], []) is None
    alone = measure_diversity(["good soup"], [])
    assert alone is not None
    assert (alone.mean_similarity, alone.nearest_real, alone.near_real_share) == (None, None, None)
