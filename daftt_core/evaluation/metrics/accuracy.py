"""Share of the predictions that are right."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

_DESCRIPTION = "Share of the predictions that equal their reference."


class Accuracy(evaluate.Metric):  # type: ignore[misc]
    """Accuracy of labels given by name."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description="predictions and references: labels by name",
            features=datasets.Features(
                predictions=datasets.Value("string"), references=datasets.Value("string")
            ),
        )

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False
    ) -> dict[str, Any]:
        right = np.asarray(predictions, dtype=object) == np.asarray(references, dtype=object)
        scores = right.astype(np.float64)
        return {"accuracy": scores.tolist() if per_example else float(scores.mean())}
