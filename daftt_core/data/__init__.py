"""Preparing data: reading sources, cutting splits, and keeping test away from everything else."""

from daftt_core.data.gather import FILES, Gathered, gather
from daftt_core.data.looking import look_at, try_reading
from daftt_core.data.mixture import describe_mixture, prepare_mixture
from daftt_core.data.prepare import prepare
from daftt_core.data.splits import take

__all__ = [
    "FILES",
    "Gathered",
    "describe_mixture",
    "gather",
    "look_at",
    "prepare",
    "prepare_mixture",
    "take",
    "try_reading",
]
