"""Train only for a reason: new labels, or data that drift from the champion's."""

from daftt_core.retraining.trigger import check_trigger

__all__ = ["check_trigger"]
