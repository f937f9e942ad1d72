"""Synthesis: the teacher annotates real inputs, or writes new pairs."""

from daftt_core.synthesis.annotate import annotate
from daftt_core.synthesis.generate import generate

__all__ = ["annotate", "generate"]
