"""The metrics by name: a task is compared by one of them, and ``evaluation`` computes them.

A new metric is a line in ``METRICS``, and a function and its line in
``daftt_core/evaluation/metrics.py``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric, as a task names it.

    Attributes:
        kind: The kind of task it serves.
        title: Its name for people.
        is_mean: Whether it is a mean of scores of single examples.
    """

    kind: str
    title: str
    is_mean: bool = True


METRICS: dict[str, Metric] = {
    "accuracy": Metric("classification", "accuracy"),
    "macro_f1": Metric("classification", "macro F1", is_mean=False),
    "matthews": Metric("classification", "Matthews correlation", is_mean=False),
    "example_f1": Metric("multilabel", "example F1"),
    "subset_accuracy": Metric("multilabel", "subset accuracy"),
    "micro_f1": Metric("multilabel", "micro F1", is_mean=False),
    "label_f1": Metric("multilabel", "macro F1 of labels", is_mean=False),
    "rougeL": Metric("text2text", "ROUGE-L"),
    "rouge1": Metric("text2text", "ROUGE-1"),
    "rouge2": Metric("text2text", "ROUGE-2"),
    "bleu": Metric("text2text", "BLEU", is_mean=False),
    "exact_match": Metric("text2text", "exact match"),
}


def primary_metrics(kind: str) -> list[str]:
    """Return the metrics that arms can be compared by: means over examples, the default first.

    Args:
        kind: The kind of task.
    """
    return [name for name, metric in METRICS.items() if metric.kind == kind and metric.is_mean]
