"""Synthesis: the teacher annotates real inputs, or writes new pairs."""

from daftt_core.synthesis.stages import annotate, generate

__all__ = ["annotate", "generate"]
