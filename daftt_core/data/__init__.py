"""Preparing data: reading sources, cutting splits, and keeping test away from everything else."""

from daftt_core.data.mixture import describe_mixture, prepare_mixture
from daftt_core.data.prepare import prepare

__all__ = ["describe_mixture", "prepare", "prepare_mixture"]
