"""F1 of every label, averaged with equal weight."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from sklearn.metrics import f1_score

_DESCRIPTION = "Unweighted mean of the F1 of every label that occurs; 0 where F1 is undefined."


class MacroF1(evaluate.Metric):  # type: ignore[misc]
    """Macro-averaged F1 of labels given by name."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description="predictions and references: labels by name",
            features=datasets.Features(
                predictions=datasets.Value("string"), references=datasets.Value("string")
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, Any]:
        score = f1_score(list(references), list(predictions), average="macro", zero_division=0.0)
        return {"macro_f1": float(score)}
