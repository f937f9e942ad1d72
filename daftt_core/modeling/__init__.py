"""Finding, loading and saving models, and the machine they run on.

The one room below the teacher and the students that imports torch.
"""

from daftt_core.modeling.finding import find_model
from daftt_core.modeling.identity import model_digest
from daftt_core.modeling.loading import (
    Template,
    load_causal_lm,
    load_classifier,
    load_text_to_text,
    load_tokenizer,
    move_into_memory,
)
from daftt_core.modeling.machine import (
    asking_dtype,
    be_quiet,
    context_length,
    fix_threads,
    limit_threads,
    meter_gpus,
    reads_forward,
    set_seeds,
    use_bfloat16,
)
from daftt_core.modeling.packing import pack_weights
from daftt_core.modeling.saving import save_model

__all__ = [
    "Template",
    "asking_dtype",
    "be_quiet",
    "context_length",
    "find_model",
    "fix_threads",
    "limit_threads",
    "load_causal_lm",
    "load_classifier",
    "load_text_to_text",
    "load_tokenizer",
    "meter_gpus",
    "model_digest",
    "move_into_memory",
    "pack_weights",
    "reads_forward",
    "save_model",
    "set_seeds",
    "use_bfloat16",
]
