"""Correlation between predicted and true labels."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
from sklearn.metrics import matthews_corrcoef

_DESCRIPTION = (
    "Matthews correlation coefficient (J. Gorodkin, 2004, for more than two labels): 1 is perfect, "
    "0 is chance or a constant answer, -1 is always wrong."
)


class Matthews(evaluate.Metric):  # type: ignore[misc]
    """Matthews correlation of labels given by name."""

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
        if len({*predictions, *references}) == 1:  # sklearn says 0 as well, but with a warning
            return {"matthews": 0.0}
        return {"matthews": float(matthews_corrcoef(list(references), list(predictions)))}
