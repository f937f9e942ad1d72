"""How far several texts for one input agree, and which of them stands for all.

A teacher that is sure writes the same again and again; one that guesses does not. The text that is
kept is the *medoid*: the one whose mean agreement with the others is greatest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from types import SimpleNamespace

from rouge_score.rouge_scorer import RougeScorer

from daftt_core.records import TextSample, normalize, words_of

__all__ = ["agreements", "medoid"]


def agreements(texts: Sequence[str | None], kind: str) -> list[float]:
    """The mean agreement of each text with the others.

    Args:
        texts: At least two; None agrees with nothing.
        kind: ``exact``, 1 for texts that are equal when normalized and 0 for others, or
            ``rouge-l``, the F-measure of ROUGE-L (C.-Y. Lin, 2004) by rouge_score, without
            stemming and with the words of :mod:`daftt_core.records.words`. Equal texts agree
            wholly, even those without a word.

    Returns:
        Numbers in [0, 1].
    """
    scorer = RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=words_of))
    found: list[list[float]] = [[] for _ in texts]
    for one, other in combinations(range(len(texts)), 2):
        first, second = texts[one], texts[other]
        agreed = 0.0
        if first is not None and second is not None:
            if normalize(first) == normalize(second):
                agreed = 1.0
            elif kind == "rouge-l":
                agreed = float(scorer.score(first, second)["rougeL"].fmeasure)
        found[one].append(agreed)
        found[other].append(agreed)
    return [math.fsum(each) / len(each) for each in found]


def medoid(samples: Sequence[TextSample]) -> int | None:
    """The place of the usable sample that agrees most with the others.

    Of equals it is the one the model finds more probable, and then the first; None if no sample is
    usable.
    """
    usable = [place for place, sample in enumerate(samples) if sample.problem is None]
    return max(
        usable,
        key=lambda place: (samples[place].agreement, samples[place].probability, -place),
        default=None,
    )
