"""The metrics by name: a task is compared by one of them, and ``evaluation`` computes them.

A new metric is a module in ``daftt_core/evaluation/metrics`` and a line in ``METRICS``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["METRICS", "Metric", "primary_metrics"]


@dataclass(frozen=True)
class Metric:
    """How a metric is found and what it serves.

    Attributes:
        module: Its file in ``daftt_core/evaluation/metrics``, without ``.py``.
        kind: The kind of task it serves.
        title: As people read it.
        is_mean: Whether it is a mean of scores of single examples.
    """

    module: str
    kind: str
    title: str
    is_mean: bool = True


METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy", "classification", "accuracy"),
    "macro_f1": Metric("macro_f1", "classification", "macro F1", is_mean=False),
    "matthews": Metric("matthews", "classification", "Matthews correlation", is_mean=False),
    "rougeL": Metric("rouge", "text2text", "ROUGE-L"),
    "rouge1": Metric("rouge", "text2text", "ROUGE-1"),
    "rouge2": Metric("rouge", "text2text", "ROUGE-2"),
    "bleu": Metric("bleu", "text2text", "BLEU", is_mean=False),
    "exact_match": Metric("exact_match", "text2text", "exact match"),
}


def primary_metrics(kind: str) -> list[str]:
    """What arms can be compared by: metrics that are means over examples, the default first.

    Args:
        kind: The kind of task.
    """
    return [name for name, metric in METRICS.items() if metric.kind == kind and metric.is_mean]
