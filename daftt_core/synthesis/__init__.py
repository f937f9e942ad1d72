"""Synthesis: the teacher annotates real inputs, or writes new pairs."""

from daftt_core.synthesis.annotate import annotate
from daftt_core.synthesis.generate import generate
from daftt_core.synthesis.shards import shard_name

__all__ = ["annotate", "generate", "shard_name"]
