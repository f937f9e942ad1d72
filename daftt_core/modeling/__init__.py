"""Finding, loading and saving models, and the machine they run on."""

from daftt_core.modeling.finding import find_model, model_digest
from daftt_core.modeling.loading import (
    IGNORED,
    Template,
    context_length,
    load_causal_lm,
    load_classifier,
    load_text_to_text,
    load_tokenizer,
    move_into_memory,
    reads_forward,
)
from daftt_core.modeling.machine import (
    be_quiet,
    fix_threads,
    inference_dtype,
    limit_threads,
    meter_gpus,
    pack_weights,
    set_seeds,
    training_arguments,
    use_bfloat16,
)
from daftt_core.modeling.saving import save_model

__all__ = [
    "IGNORED",
    "Template",
    "be_quiet",
    "context_length",
    "find_model",
    "fix_threads",
    "inference_dtype",
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
    "training_arguments",
    "use_bfloat16",
]
