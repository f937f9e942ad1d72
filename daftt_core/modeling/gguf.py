"""GGUF files, turned once into plain model folders.

Reading a GGUF file takes transformers some ten seconds even for a small model, most of it in
Python loops over the vocabulary, and every stage that needs the teacher would pay that again.

    <cache>/converted/<file>-<digest>/    float32 model folder, with a manifest
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from daftt_core.errors import ModelError
from daftt_core.modeling.machine import be_quiet
from daftt_core.modeling.saving import save_model
from daftt_core.records import digest
from daftt_core.storage import make_once
from daftt_core.storage.assets import cache_folder
from daftt_core.telemetry import log


def convert_gguf(path: Path) -> Path:
    """The model folder made from a GGUF file; made now unless it was before.

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
    convert = functools.partial(_convert, path)
    return make_once(folder, key, "converting it again", convert, {"sha256": sha256})


def _convert(path: Path, folder: Path) -> None:
    log.info("%s: converting to a model folder, once", path.name)
    be_quiet()
    where: dict[str, Any] = {
        "gguf_file": path.name,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a bar that cannot be switched off
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
            model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **where)
    except Exception as error:  # readers of a foreign format raise anything when it is damaged
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path}: cannot be read as a GGUF model: {reason}") from None
    _forget_quantization(model)
    save_model(model, tokenizer, folder)


def _forget_quantization(model: PreTrainedModel) -> None:
    """Loading marks the model as quantized, though its weights are float32 by now."""
    if getattr(model.config, "quantization_config", None) is not None:
        del model.config.quantization_config
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        vars(model).pop(mark, None)
