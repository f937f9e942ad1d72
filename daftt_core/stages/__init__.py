"""The catalogue of stages: names, order, what each needs and hands on; arms and sources."""

from daftt_core.stages.arms import ARMS, Source, augmented_arms, left_out

__all__ = [
    "ARMS",
    "Source",
    "augmented_arms",
    "left_out",
]
