"""Share of the texts that are the reference, up to case and spacing."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from daftt_core.records import normalize

_DESCRIPTION = "Share of the texts that equal their reference after NFKC, case and space folding."


class ExactMatch(evaluate.Metric):  # type: ignore[misc]
    """Exact match of normalized texts."""

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
        pairs = zip(predictions, references, strict=True)
        scores = [float(normalize(said) == normalize(true)) for said, true in pairs]
        return {"exact_match": scores if per_example else float(np.mean(scores))}
