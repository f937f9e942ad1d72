"""``byte-bart``: a small model for texts that is made on this machine rather than fetched.

No published package was found that carries a pretrained sequence-to-sequence model. This one has
BART's architecture, reads and writes bytes, so that it takes any script and needs no vocabulary,
and has fresh weights, always the same ones. It knows no language before it is trained, but learns
what is regular in spelling within a minute on a CPU.

    <cache>/made/byte-bart-<digest>/    model folder, with a manifest
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

from daftt_core.modeling.identity import BYTE_BART, model_digest
from daftt_core.modeling.machine import be_quiet
from daftt_core.modeling.saving import save_model
from daftt_core.planning.shapes import find_model_config
from daftt_core.records import digest
from daftt_core.storage import make_once
from daftt_core.storage.assets import cache_folder
from daftt_core.telemetry import log

_SEED = 0
_SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def find_byte_bart() -> Path:
    """The model's folder in the cache; made now unless it was before.

    Raises:
        StorageError: The folder cannot be written.
    """
    key = digest(model_digest(BYTE_BART), torch.__version__, transformers.__version__)
    folder = cache_folder() / "made" / f"{BYTE_BART}-{key[:12]}"
    return make_once(folder, key, "making it again", make_byte_bart, {})


def make_byte_bart(folder: Path) -> None:
    """Write the model's folder. torch's random numbers are left as they were.

    Args:
        folder: Where to.

    Raises:
        StorageError: The weights cannot be written.
    """
    log.info("%s: making it, once", BYTE_BART)
    be_quiet()
    config = BartConfig(**(find_model_config(BYTE_BART) or {}))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        model = BartForConditionalGeneration(config)
    save_model(model, _byte_tokenizer(config.max_position_embeddings), folder)


def _byte_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """A token for each byte of UTF-8, and an end token after them."""
    names = [*_SPECIAL.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=_SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    end = _SPECIAL["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, vocabulary[end])]
    )
    make: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast  # it has no types
    return make(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=max_length,
        **_SPECIAL,
    )
