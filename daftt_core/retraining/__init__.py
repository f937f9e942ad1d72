"""A run only when there is a reason: new labels, or data that drift from the champion's."""

from daftt_core.retraining.drift import inputs_differ, labels_differ, permutations_for
from daftt_core.retraining.trigger import check_trigger
from daftt_core.retraining.verdict import Comparison, Verdict

__all__ = [
    "Comparison",
    "Verdict",
    "check_trigger",
    "inputs_differ",
    "labels_differ",
    "permutations_for",
]
