"""Model folders that are built on this machine, once, and then kept in the cache.

*GGUF files.* Reading one takes transformers some ten seconds even for a small model, most of it in
Python loops over the vocabulary, and every stage that needs the teacher would pay that again.

*byte-bart*, a small model for texts. No published package was found that carries a pretrained
sequence-to-sequence model. This one has BART's architecture, reads and writes bytes, so that it
takes any script and needs no vocabulary, and has fresh weights, always the same ones. It knows no
language before it is trained, but learns what is regular in spelling within a minute on a CPU.

    <cache>/converted/<file>-<digest>/    float32 model folder, with a manifest
    <cache>/made/byte-bart-<digest>/      model folder, with a manifest
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from daftt_core.errors import ModelError
from daftt_core.modeling.machine import be_quiet
from daftt_core.modeling.saving import save_model
from daftt_core.planning.shapes import find_model_config
from daftt_core.records import digest
from daftt_core.storage import cache_folder, make_once
from daftt_core.telemetry import log

BYTE_BART = "byte-bart"

_SEED = 0
_SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def convert_gguf(path: Path) -> Path:
    """Return the model folder of a GGUF file, converting the file unless that was done before.

    Args:
        path: The file of a causal language model; its weights become float32.

    Raises:
        ModelError: The file cannot be read as a model.
        StorageError: The folder cannot be written.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    key = digest("gguf", sha256, transformers.__version__)
    folder = cache_folder() / "converted" / f"{path.stem}-{sha256[:12]}"
    return make_once(folder, key, "building it again", functools.partial(_convert, path), {})


def find_byte_bart() -> Path:
    """Return the folder of ``byte-bart``, building it unless that was done before.

    Raises:
        StorageError: The folder cannot be written.
    """
    key = digest(byte_bart_digest(), torch.__version__, transformers.__version__)
    folder = cache_folder() / "made" / f"{BYTE_BART}-{key[:12]}"
    return make_once(folder, key, "building it again", build_byte_bart, {})


def byte_bart_digest() -> str:
    """Return a digest of what ``byte-bart`` is built from."""
    return digest(BYTE_BART, find_model_config(BYTE_BART))


def build_byte_bart(folder: Path) -> None:
    """Write the folder of ``byte-bart``, leaving torch's random state unchanged.

    Raises:
        StorageError: The weights cannot be written.
    """
    log.info("%s: building it, once", BYTE_BART)
    be_quiet()
    config = BartConfig(**(find_model_config(BYTE_BART) or {}))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_SEED)
        model = BartForConditionalGeneration(config)
    save_model(model, byte_tokenizer(config.max_position_embeddings), folder)


def _convert(path: Path, folder: Path) -> None:
    log.info("%s: converting to a model folder, once", path.name)
    be_quiet()
    source: dict[str, Any] = {
        "gguf_file": path.name,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a bar that cannot be switched off
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **source)
            model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **source)
    except Exception as error:  # readers of a foreign format raise anything when it is damaged
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path}: cannot be read as a GGUF model: {reason}") from None
    _remove_quantization(model)
    save_model(model, tokenizer, folder)


def _remove_quantization(model: PreTrainedModel) -> None:
    """Remove the marks of a quantized model: its weights are float32 by now."""
    if getattr(model.config, "quantization_config", None) is not None:
        del model.config.quantization_config
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        vars(model).pop(mark, None)


def byte_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token for each byte of UTF-8, and an end token after them."""
    names = [*_SPECIAL.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=_SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    end = _SPECIAL["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, vocabulary[end])]
    )
    wrap: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast  # it has no types
    return wrap(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=max_length,
        **_SPECIAL,
    )
