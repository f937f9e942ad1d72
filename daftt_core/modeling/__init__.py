"""Finding, loading and saving models, and the machine they run on.

The one room below the teacher and the students that imports torch.
"""

from daftt_core.modeling.finding import find_model
from daftt_core.modeling.identity import model_digest
from daftt_core.modeling.limits import context_length
from daftt_core.modeling.loading import load_causal_lm, load_classifier, load_seq2seq
from daftt_core.modeling.machine import (
    asking_dtype,
    be_quiet,
    choose_device,
    limit_threads,
    meter_gpus,
    set_seeds,
    use_bfloat16,
)
from daftt_core.modeling.saving import save_model

__all__ = [
    "asking_dtype",
    "be_quiet",
    "choose_device",
    "context_length",
    "find_model",
    "limit_threads",
    "load_causal_lm",
    "load_classifier",
    "load_seq2seq",
    "meter_gpus",
    "model_digest",
    "save_model",
    "set_seeds",
    "use_bfloat16",
]
