"""The metrics: one function each in one table, and the ``evaluate`` library's form of them.

A function takes strings (labels by name, sets of them, or texts) and what they should be, in the
same order. It returns a list with the score of each example where the metric is their mean, else
one score. The packages that compute some of them take seconds to load, and are imported where they
are used.

This module needs no network. ``evaluate.load(".../evaluation/metrics.py", "macro_f1")`` loads any
metric of the table; so does :mod:`daftt_core.evaluation.scoring`, without the library's cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import datasets
import evaluate
import numpy as np

from daftt_core.errors import ConfigError
from daftt_core.records import normalize
from daftt_core.records.words import apart, words_of
from daftt_core.tasks import split_labels


def accuracy(predictions: list[str], references: list[str]) -> list[float]:
    """Score 1 where a label is right, else 0."""
    pairs = zip(predictions, references, strict=True)
    return [float(prediction == reference) for prediction, reference in pairs]


def macro_f1(predictions: list[str], references: list[str]) -> float:
    """Return the unweighted mean of the F1 of every label that occurs; 0 where F1 is undefined."""
    from sklearn.metrics import f1_score

    return float(f1_score(references, predictions, average="macro", zero_division=0.0))


def matthews(predictions: list[str], references: list[str]) -> float:
    """Return the Matthews correlation coefficient (J. Gorodkin, 2004, for more than two labels).

    1 is perfect, 0 is chance or a constant answer, -1 is always wrong.
    """
    if len({*predictions, *references}) == 1:  # sklearn says 0 as well, but with a warning
        return 0.0
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(references, predictions))


def example_f1(predictions: list[str], references: list[str]) -> list[float]:
    """Score each set of labels by the F1 of its labels; 1 where both sets are empty.

    Their mean is scikit-learn's F1 with ``average="samples"`` and ``zero_division=1``.
    """
    sets = zip(_label_sets(predictions), _label_sets(references), strict=True)
    return [
        2 * len(chosen & true) / (len(chosen) + len(true)) if chosen or true else 1.0
        for chosen, true in sets
    ]


def subset_accuracy(predictions: list[str], references: list[str]) -> list[float]:
    """Score 1 where a set of labels is right as a whole, else 0."""
    return accuracy(predictions, references)


def micro_f1(predictions: list[str], references: list[str]) -> float:
    """Return the F1 of all decisions about labels together; 1 where no label occurs."""
    right, given = _label_counts(predictions, references)
    return 2 * right.total() / given.total() if given else 1.0


def label_f1(predictions: list[str], references: list[str]) -> float:
    """Return the unweighted mean of the F1 of every label that occurs; 1 where none does."""
    right, given = _label_counts(predictions, references)
    return float(np.mean([2 * right[label] / given[label] for label in given] or [1.0]))


def _label_counts(
    predictions: list[str], references: list[str]
) -> tuple[Counter[str], Counter[str]]:
    """Return how often each label is given rightly, and in how many sets of either kind it is."""
    right, given = Counter[str](), Counter[str]()
    for chosen, true in zip(_label_sets(predictions), _label_sets(references), strict=True):
        right.update(chosen & true)
        given.update(chosen)
        given.update(true)
    return right, given


def _label_sets(outputs: list[str]) -> list[set[str]]:
    return [set(split_labels(output)) for output in outputs]


def rouge1(predictions: list[str], references: list[str]) -> list[float]:
    """Score each text by the words that it shares with its reference."""
    return _rouge("rouge1", predictions, references)


def rouge2(predictions: list[str], references: list[str]) -> list[float]:
    """Score each text by the pairs of words that it shares with its reference."""
    return _rouge("rouge2", predictions, references)


def rouge_l(predictions: list[str], references: list[str]) -> list[float]:
    """Score each text by the longest sequence of words that it shares with its reference."""
    return _rouge("rougeL", predictions, references)


def _rouge(kind: str, predictions: list[str], references: list[str]) -> list[float]:
    """Return F-measures of ROUGE (C.-Y. Lin, 2004) by the rouge_score package, without stemming.

    Words are those of :mod:`daftt_core.records.words`: letters and digits of any script, and in
    scripts without blanks each character.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([kind], tokenizer=SimpleNamespace(tokenize=words_of))
    pairs = zip(predictions, references, strict=True)
    return [
        float(scorer.score(reference, prediction)[kind].fmeasure) for prediction, reference in pairs
    ]


def bleu(predictions: list[str], references: list[str]) -> float:
    """Return BLEU of all texts together (K. Papineni et al., 2002), from 0 to 1.

    It is that of the sacrebleu package with its tokenizer 13a and exponential smoothing. In scripts
    without blanks a character is a word. Where no text is as long as a run of words, runs of that
    length are left out.
    """
    from sacrebleu.metrics.bleu import BLEU

    spaced_predictions, spaced_references = map(apart, predictions), map(apart, references)
    # without effective order a set of short titles scores 0 even where all are right
    scorer = BLEU(effective_order=True)
    return float(scorer.corpus_score([*spaced_predictions], [[*spaced_references]]).score / 100)


def exact_match(predictions: list[str], references: list[str]) -> list[float]:
    """Score 1 where a text equals its reference after NFKC, case and space folding, else 0."""
    pairs = zip(predictions, references, strict=True)
    return [float(normalize(prediction) == normalize(reference)) for prediction, reference in pairs]


FUNCTIONS: dict[str, Callable[[list[str], list[str]], list[float] | float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "matthews": matthews,
    "example_f1": example_f1,
    "subset_accuracy": subset_accuracy,
    "micro_f1": micro_f1,
    "label_f1": label_f1,
    "rougeL": rouge_l,
    "rouge1": rouge1,
    "rouge2": rouge2,
    "bleu": bleu,
    "exact_match": exact_match,
}
"""How each metric of ``daftt_core.tasks.METRICS`` is computed."""


class TableMetric(evaluate.Metric):  # type: ignore[misc]
    """A function of the table as a metric of the ``evaluate`` library, whose other metrics fit too.

    ``compute(..., per_example=True)`` gives the list behind a mean.
    """

    def _info(self) -> evaluate.MetricInfo:
        if self.config_name not in FUNCTIONS:
            raise ConfigError(f"metric: there is no metric {self.config_name!r}")
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=FUNCTIONS[self.config_name].__doc__ or "",
            citation="",
            inputs_description="predictions and references: labels by name, sets of them, or texts",
            features=datasets.Features(predictions=text, references=text),
        )

    def _compute(
        self, predictions: list[str], references: list[str], per_example: bool = False
    ) -> dict[str, Any]:
        scores = FUNCTIONS[self.config_name](list(predictions), list(references))
        return {self.config_name: scores if per_example else float(np.mean(scores))}
