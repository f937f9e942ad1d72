"""The trigger: whether a run that is repeated has a reason to train."""

from daftt_core.trigger.stage import TRIGGER, check_trigger
from daftt_core.trigger.verdict import Comparison, Verdict

__all__ = ["TRIGGER", "Comparison", "Verdict", "check_trigger"]
