"""How many runs of one to four words of the texts are in their references, over all texts."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from sacrebleu.metrics.bleu import BLEU

from daftt_core.records import apart

_DESCRIPTION = (
    "BLEU of all texts together (K. Papineni et al., 2002) by the sacrebleu package with its "
    "tokenizer 13a and exponential smoothing, from 0 to 1. In scripts without blanks a character "
    "is a word. Where no text is as long as a run of words, runs of that length are left out."
)


class Bleu(evaluate.Metric):  # type: ignore[misc]
    """BLEU of texts against one reference each."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description="predictions and references: texts",
            features=datasets.Features(
                predictions=datasets.Value("string"), references=datasets.Value("string")
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        # without effective order a set of short titles scores 0 even where all are right
        said, true = ([*map(apart, texts)] for texts in (predictions, references))
        found = BLEU(effective_order=True).corpus_score(said, [true])
        return {"bleu": found.score / 100}
