"""Overlap of a text with its reference, in words, word pairs and the longest common sequence.

Words are those of :mod:`daftt_core.records.words`: letters and digits of any script, and in scripts
without blanks each character.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import datasets
import evaluate
import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from daftt_core.records import words_of

_DESCRIPTION = (
    "F-measures of ROUGE-1, ROUGE-2 and ROUGE-L (C.-Y. Lin, 2004) by the rouge_score package, "
    "without stemming, averaged over the examples."
)
_KINDS = ["rouge1", "rouge2", "rougeL"]


class Rouge(evaluate.Metric):  # type: ignore[misc]
    """ROUGE F-measures of texts."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description="predictions and references: texts",
            features=datasets.Features(
                predictions=datasets.Value("string"), references=datasets.Value("string")
            ),
        )

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False
    ) -> dict[str, Any]:
        scorer = RougeScorer(_KINDS, tokenizer=SimpleNamespace(tokenize=words_of))
        pairs = zip(predictions, references, strict=True)
        scored = [scorer.score(true, said) for said, true in pairs]
        scores = {kind: [float(one[kind].fmeasure) for one in scored] for kind in _KINDS}
        return {
            kind: values if per_example else float(np.mean(values))
            for kind, values in scores.items()
        }
