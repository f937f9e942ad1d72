"""The teacher: fine-tuned on the labelled examples, then judged on dev before it may teach."""

from daftt_core.teacher.assessment import assess
from daftt_core.teacher.training import train

__all__ = ["assess", "train"]
