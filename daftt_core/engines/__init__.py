"""Engines: they query a causal language model, behind one protocol.

An engine scores given answers and writes new ones. Synthesis does not see which engine it uses.
"""

from daftt_core.engines.encoding import encode, encode_all
from daftt_core.engines.engine import Completion, Engine, PromptError, PromptRefusedError
from daftt_core.engines.factory import ENGINES, OpenEngine, open_engine, open_local
from daftt_core.engines.labelling import ChannelScorer, LabelScorer, LabelSetScorer
from daftt_core.engines.local import LocalEngine
from daftt_core.engines.server import ServerEngine

__all__ = [
    "ENGINES",
    "ChannelScorer",
    "Completion",
    "Engine",
    "LabelScorer",
    "LabelSetScorer",
    "LocalEngine",
    "OpenEngine",
    "PromptError",
    "PromptRefusedError",
    "ServerEngine",
    "encode",
    "encode_all",
    "open_engine",
    "open_local",
]
