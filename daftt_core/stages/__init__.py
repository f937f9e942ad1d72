"""The catalogue of stages: names, order, what each needs and hands on; arms and sources."""

from daftt_core.stages.arms import (
    ARMS,
    Source,
    augmented_arms,
    baseline_arms,
    left_out,
    synthesis_shards,
)
from daftt_core.stages.results import log_numbers, numbers, references, students_by_arm

__all__ = [
    "ARMS",
    "Source",
    "augmented_arms",
    "baseline_arms",
    "left_out",
    "log_numbers",
    "numbers",
    "references",
    "students_by_arm",
    "synthesis_shards",
]
