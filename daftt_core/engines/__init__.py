"""Engines: what asks a causal language model, behind one protocol.

An engine scores given answers and writes new ones. Which engine serves is a detail that synthesis
does not see.
"""

from daftt_core.engines.encoding import Encoded, encode
from daftt_core.engines.engine import Completion, Engine
from daftt_core.engines.labelling import LabelScorer
from daftt_core.engines.local import LocalEngine

__all__ = ["Completion", "Encoded", "Engine", "LabelScorer", "LocalEngine", "encode"]
