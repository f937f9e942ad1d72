"""Loading a model and its tokenizer for one of its jobs, in float32 by default.

Only safetensors (or GGUF, converted to it) is read, and no code that comes with a model is run. A
model whose weights do not cover the job is refused rather than filled up with random numbers; the
one exception is a classifier's head, fresh unless it was trained for the very same labels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from daftt_core.errors import ModelError
from daftt_core.modeling.finding import find_model
from daftt_core.modeling.machine import be_quiet, choose_device, meter_gpus, move_to
from daftt_core.modeling.pooling import pool_by_mean, prepare_training
from daftt_core.modeling.saving import read_as_text

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]

IGNORED = -100
"""Label of tokens that carry no loss, as torch's cross-entropy defines it."""

_SAFELY: Any = {"local_files_only": True, "trust_remote_code": False}
_KINDS = {
    AutoModelForCausalLM: "causal language model (such as Llama or GPT-NeoX)",
    AutoModelForSeq2SeqLM: "model that writes texts (such as BART, T5 or GPT-2)",
    AutoModelForSequenceClassification: "sequence classifier (such as BERT or RoBERTa)",
}


def load_causal_lm(
    name: str | Path,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Loaded:
    """Load a language model that continues a text, on the device, in evaluation mode.

    Args:
        name: What :func:`find_model` understands.
        device: The device; None takes a GPU where there is one.
        dtype: Number format of its weights.

    Raises:
        ModelError: The model is missing, incomplete or of another kind.
    """
    path = find_model(name)
    return _finish(path, _load_whole(AutoModelForCausalLM, path, dtype), device)


def move_into_memory(model: PreTrainedModel) -> None:
    """Copy weights that lie in a mapped file into memory of their own, for training on a CPU.

    In the file they begin wherever its header ends, and some matrix products (MKL's) have other
    last digits where an operand begins at another multiple of 8 bytes. A resumed training reads
    its checkpoint, whose header is not as long as that of the model it started from.
    """
    for weights in (*model.parameters(), *model.buffers()):
        if weights.device.type == "cpu":
            weights.data = weights.data.clone()


def load_text_to_text(name: str | Path) -> Loaded:
    """Load a model that writes a text for another, on the device, in evaluation mode.

    Args:
        name: What :func:`find_model` understands; a sequence-to-sequence or a causal model.

    Raises:
        ModelError: The model is missing, incomplete or of another kind.
    """
    path = find_model(name)
    return _finish(path, _read_writer(path))


def load_classifier(
    name: str | Path, label_names: Sequence[str], *, trained: bool = False
) -> Loaded:
    """Load a classifier of texts, on the device, in evaluation mode.

    The head is the stored one if it was trained for ``label_names`` in this order; otherwise it is
    drawn from torch's random numbers, so call :func:`set_seeds` first.

    Args:
        name: What :func:`find_model` understands.
        label_names: The labels; the model's outputs are in this order.
        trained: Whether the head must be the stored one, because the model is to answer.

    Raises:
        ModelError: The model is missing, incomplete or of another kind.
    """
    path = find_model(name)
    model, fresh, headless = _read_classifier(path, label_names)
    if trained and (fresh or headless):
        raise ModelError(f"{path}: was not trained for the labels {', '.join(label_names)}")
    return _finish(path, _with_new_head(model) if headless and not fresh else model)


class Template:
    """A model that is read once and started many times, for students that differ in their seed.

    A start is bit for bit what loading the folder with the same random state gives, a newly drawn
    head included: the weights that were stored go through the same loader from memory.

    Attributes:
        model: The model as it was read, on the CPU; it must not be trained.
        tokenizer: Its tokenizer.
        pooled: Whether its new head reads the mean over the tokens.
    """

    def __init__(
        self,
        name: str | Path,
        label_names: Sequence[str] | None,
        *,
        mean_pooling: bool = False,
        multilabel: bool = False,
    ) -> None:
        """Read the model.

        Args:
            name: What :func:`find_model` understands.
            label_names: A classifier's labels; None for a model that writes texts.
            mean_pooling: Whether a classifier whose head is drawn reads the mean over the tokens,
                where its kind allows that.
            multilabel: Whether an input has any number of the labels, and not one of them.

        Raises:
            ModelError: The model is missing, incomplete or of another kind.
        """
        path = find_model(name)
        if label_names is None:
            self.model, self._drawn, self._headless = _read_writer(path), list[str](), False
        else:
            self.model, self._drawn, self._headless = _read_classifier(path, label_names)
            # decides the loss, and how a pipeline answers; None is one label
            self.model.config.problem_type = "multi_label_classification" if multilabel else None
        self.pooled = (
            mean_pooling
            and label_names is not None
            and (bool(self._drawn) or self._headless)
            and pool_by_mean(self.model)
        )
        self.model, self.tokenizer = _finish(path, self.model, torch.device("cpu"))

    def start(self) -> PreTrainedModel:
        """Return a model to train, on the device; seed first where a head is drawn."""
        if self._drawn:
            stored = {
                key: value.clone()  # the loader takes them over as they are
                for key, value in self.model.state_dict().items()
                if key not in self._drawn
            }
            model = type(self.model).from_pretrained(
                None, config=self.model.config, state_dict=stored, dtype=torch.float32
            )
        elif self._headless:
            model = _with_new_head(self.model)
        else:
            model = copy.deepcopy(self.model)
        if self.pooled:
            prepare_training(model)
        move_to(model, choose_device())
        torch.nn.Module.eval(model)
        return model


def reads_forward(config: PreTrainedConfig) -> bool:
    """Return whether a model is causal, such as GPT-2: no token sees those after it.

    Encoders such as BERT can be told to be, and are listed among the causal models for that.
    """
    kind = config.model_type
    if config.is_encoder_decoder or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return False
    return kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or getattr(config, "is_decoder", False)


def context_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the most tokens an input may have, special ones included; None if there is no limit.

    The tokenizer's limit counts as well as the model's, because some models (RoBERTa) reserve
    positions that no token can take. A tokenizer that knows no limit states an absurd one.
    """
    stated = [
        tokenizer.model_max_length,
        getattr(model.config, "max_position_embeddings", None),
        getattr(model.config, "n_positions", None),
    ]
    limits = [int(limit) for limit in stated if limit and limit < 10**9]
    return min(limits, default=None)


def _read_classifier(
    path: Path, label_names: Sequence[str]
) -> tuple[PreTrainedModel, list[str], bool]:
    """Return a classifier, which weights were drawn, and whether its head is for other labels."""
    stored = list((_load_config(path).id2label or {}).values())
    labels: dict[str, Any] = {
        "num_labels": len(label_names),
        "id2label": dict(enumerate(label_names)),
        "label2id": {label: index for index, label in enumerate(label_names)},
    }
    model, fresh = _load_weights(AutoModelForSequenceClassification, path, **labels)
    prefix = f"{model.base_model_prefix}."
    body = [key for key in fresh if key.startswith(prefix) and "pooler" not in key]
    _refuse_gaps(path, AutoModelForSequenceClassification, body)
    return model, fresh, stored != list(label_names)


def _read_writer(path: Path) -> PreTrainedModel:
    config = _load_config(path)
    return _load_whole(
        AutoModelForCausalLM if reads_forward(config) else AutoModelForSeq2SeqLM, path
    )


def _load_config(path: Path) -> PreTrainedConfig:
    be_quiet()
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(path, **_SAFELY)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: its configuration cannot be used: {_reason(error)}") from None
    return config


def _load_whole(auto: Any, path: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    model, fresh = _load_weights(auto, path, dtype)
    _refuse_gaps(path, auto, fresh)
    return model


def _load_weights(
    auto: Any, path: Path, dtype: torch.dtype = torch.float32, **settings: Any
) -> tuple[PreTrainedModel, list[str]]:
    """Return the model, and the names of the weights that were not stored and are random now."""
    be_quiet()
    try:
        model, report = auto.from_pretrained(
            path,
            dtype=dtype,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **_SAFELY,
            **settings,
        )
    except ValueError as error:
        if "Unrecognized configuration class" in str(error):
            raise ModelError(f"{path}: is not a {_KINDS[auto]}") from None
        raise ModelError(f"{path}: cannot be loaded: {_reason(error)}") from None
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{path}: its weights cannot be read: {_reason(error)}") from None
    mismatched = [key for key, *_ in report["mismatched_keys"]]
    return model, sorted({*report["missing_keys"], *mismatched})


def _refuse_gaps(path: Path, auto: Any, missing: Sequence[str]) -> None:
    if missing:
        raise ModelError(
            f"{path}: its weights do not make a {_KINDS[auto]}: {len(missing)} of the "
            f"tensors it needs are missing or of another shape, {missing[0]} for one"
        )


def _with_new_head(model: PreTrainedModel) -> PreTrainedModel:
    fresh = type(model)(model.config)
    fresh.base_model.load_state_dict(model.base_model.state_dict())
    return fresh


def _finish(path: Path, model: PreTrainedModel, device: torch.device | None = None) -> Loaded:
    tokenizer = _load_tokenizer(path)
    _give_pad_token(path, model, tokenizer)
    rows = cast(torch.nn.Embedding, model.get_input_embeddings()).num_embeddings
    if len(tokenizer) > rows:
        raise ModelError(
            f"{path}: the tokenizer has {len(tokenizer)} tokens and the model knows only {rows}; "
            "they do not belong together"
        )
    device = device or choose_device()
    move_to(model, device)
    if device.type == "cuda":
        meter_gpus()
    torch.nn.Module.eval(model)
    return model, tokenizer


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer alone; a folder needs to hold no weights.

    As with every tokenizer loaded here, special tokens that a text spells are text to it.

    Args:
        name: See :func:`find_model`.

    Raises:
        ModelError: There is no such model, or its tokenizer cannot be loaded.
    """
    folder = Path(name).expanduser()
    return _load_tokenizer(folder if folder.is_dir() else find_model(name))


def _load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            path, split_special_tokens=True, **_SAFELY
        )
    except Exception as error:  # the tokenizers library raises bare Exception for a broken file
        raise ModelError(f"{path}: its tokenizer cannot be loaded: {_reason(error)}") from None
    read_as_text(tokenizer)
    return tokenizer


def _give_pad_token(path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make the end token the pad token where there is none: padding is masked everywhere."""
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError(f"{path}: its tokenizer has neither a pad token nor an end token")
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    if model.can_generate():
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def _reason(error: BaseException) -> str:
    """Return the first sentence of a library's long message."""
    return " ".join(str(error).split()).split(". ", 1)[0][:300] or type(error).__name__
