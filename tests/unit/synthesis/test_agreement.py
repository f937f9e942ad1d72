"""How several texts agree, and which of them is kept."""

from __future__ import annotations

import pytest
from rouge_score.rouge_scorer import RougeScorer

from daftt_core.records import TextSample
from daftt_core.synthesis.outputs import agreements, medoid


def sample(agreement: float, probability: float = 0.5, problem: str | None = None) -> TextSample:
    return TextSample(text="x", agreement=agreement, probability=probability, problem=problem)


def test_rouge_l_is_that_of_rouge_score_and_of_the_definition() -> None:
    one, two, three = "police kill the gunman", "police killed the gunman", "the gunman kill police"
    # Lin 2004, section 3: the longest common subsequences of these are 3 and 2 of 4 words
    assert agreements([one, two], "rouge-l") == [0.75, 0.75]
    assert agreements([one, three], "rouge-l") == [0.5, 0.5]
    scorer = RougeScorer(["rougeL"])
    expected = [
        (scorer.score(a, b)["rougeL"].fmeasure + scorer.score(a, c)["rougeL"].fmeasure) / 2
        for a, b, c in ((one, two, three), (two, one, three), (three, one, two))
    ]
    assert agreements([one, two, three], "rouge-l") == pytest.approx(expected)


def test_exact_agreement_is_the_share_of_the_others_that_are_the_same() -> None:
    texts = ["A title", "a  TITLE ", "a title", "another title"]
    assert agreements(texts, "exact") == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0])


def test_what_could_not_be_read_agrees_with_nothing() -> None:
    assert agreements(["a title", None, "a title", None], "rouge-l") == pytest.approx(
        [1 / 3, 0, 1 / 3, 0]
    )


def test_equal_texts_agree_in_any_script() -> None:
    assert agreements(["東京の天気", "東京の天気", "大阪"], "rouge-l") == [0.5, 0.5, 0]


def test_the_medoid_agrees_most_then_is_most_probable_then_comes_first() -> None:
    assert medoid([sample(0.2, 0.9), sample(0.6, 0.1), sample(0.5, 0.8)]) == 1
    assert medoid([sample(0.6, 0.2), sample(0.6, 0.3), sample(0.1, 0.9)]) == 1
    assert medoid([sample(0.1), sample(0.6), sample(0.6)]) == 1
    assert medoid([sample(0.0, 0.9, "unfinished"), sample(0.0, 0.1)]) == 1
    assert medoid([sample(0.0, 0.9, "unfinished"), sample(0.0, 0.1, "empty")]) is None
