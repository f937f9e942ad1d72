"""Train only for a reason: new labels, or data that drift from the champion's."""

from daftt_core.retraining.drift import inputs_differ, labels_differ, permutations_for
from daftt_core.retraining.trigger import check_trigger

__all__ = [
    "check_trigger",
    "inputs_differ",
    "labels_differ",
    "permutations_for",
]
