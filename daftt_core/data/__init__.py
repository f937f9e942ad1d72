"""Preparing data: reading sources, cutting splits, and keeping test away from everything else."""

from daftt_core.data.prepare import prepare

__all__ = ["prepare"]
