"""A model's size, worked out from its ``config.json`` alone: no weights and no torch.

Each architecture has a formula. The tests compare every one of them with the model that
transformers builds from the same file, parameter by parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from daftt_core.errors import ConfigError, did_you_mean
from daftt_core.planning.shapes import Blocks, Kind, ModelShape

_Settings = Mapping[str, Any]


def read_shape(settings: _Settings, *, labels: int = 2) -> ModelShape:
    """Return the shape of a model.

    Args:
        settings: The content of its ``config.json``.
        labels: Outputs of the head, for a classifier.

    Raises:
        ConfigError: The architecture has no formula here, or a width is missing.
    """
    architecture = str(settings.get("model_type", ""))
    if architecture not in _FORMULAS:
        raise ConfigError(
            f"model_type {architecture!r} is not one whose size can be worked out"
            f"{did_you_mean(architecture, _FORMULAS)} (known: {', '.join(sorted(_FORMULAS))})"
        )
    try:
        return _FORMULAS[architecture](settings, labels)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise ConfigError(
            f"the configuration of a {architecture} model lacks a usable {error}"
        ) from None


def _gpt(settings: _Settings, _: int) -> ModelShape:
    """GPT-2 and GPT-NeoX: LayerNorm, one product for queries, keys and values."""
    gpt2 = settings["model_type"] == "gpt2"
    width = settings["n_embd" if gpt2 else "hidden_size"]
    inner = settings.get("n_inner") or 4 * width if gpt2 else settings["intermediate_size"]
    bias = gpt2 or settings.get("attention_bias", True)
    blocks = Blocks(
        count=settings["n_layer" if gpt2 else "num_hidden_layers"],
        linears=((width, 3 * width), (width, width), (width, inner), (inner, width)),
        vectors=(4 * width if bias else 0) + inner + width + 4 * width,
        hidden=width,
        attention=width,
        key_value=width,
        heads=settings["n_head" if gpt2 else "num_attention_heads"],
        feed_forward=inner,
        fused_qkv=True,
    )
    positions = settings["n_positions"] * width if gpt2 else 0
    return _model(settings, "causal", (blocks,), other=positions + 2 * width, tied=gpt2)


def _llama(settings: _Settings, _: int) -> ModelShape:
    """Llama, Mistral, OLMo 2, Qwen2, Qwen3: grouped queries, RMSNorm, a gated feed-forward part."""
    architecture = settings["model_type"]
    width, inner = settings["hidden_size"], settings["intermediate_size"]
    heads = settings["num_attention_heads"]
    size = settings.get("head_dim") or width // heads
    queries, keys = heads * size, (settings.get("num_key_value_heads") or heads) * size
    biases = 0
    if architecture == "qwen2":
        biases += queries + 2 * keys
    elif architecture != "mistral" and settings.get("attention_bias"):
        biases += queries + 2 * keys + width
    if architecture == "llama" and settings.get("mlp_bias"):
        biases += 2 * inner + width
    # Qwen3 scales the heads one by one, with one weight for all; OLMo 2 all of them together
    head_norms = {"qwen3": 2 * size, "olmo2": queries + keys}.get(architecture, 0)
    blocks = Blocks(
        count=settings["num_hidden_layers"],
        linears=(
            *((width, queries), (width, keys), (width, keys), (queries, width)),
            *((width, inner), (width, inner), (inner, width)),
        ),
        vectors=biases + 2 * width + head_norms,
        hidden=width,
        attention=queries,
        key_value=keys,
        heads=heads,
        feed_forward=inner,
        gated=True,
        rms_norm=True,
        normed=queries + keys if head_norms else 0,
    )
    return _model(settings, "causal", (blocks,), other=width, tied=False)


def _bert(settings: _Settings, labels: int) -> ModelShape:
    """BERT, RoBERTa, XLM-RoBERTa and DistilBERT with their classification heads."""
    distil = settings["model_type"] == "distilbert"
    width = settings["dim" if distil else "hidden_size"]
    blocks = _post_norm(
        settings["n_layers" if distil else "num_hidden_layers"],
        width,
        settings["n_heads" if distil else "num_attention_heads"],
        settings["hidden_dim" if distil else "intermediate_size"],
    )
    types = 0 if distil else settings.get("type_vocab_size", 2)
    other = (settings["max_position_embeddings"] + types + 2) * width
    head = width * width + width + width * labels + labels
    return _model(settings, "classifier", (blocks,), other=other, head=head)


def _bart(settings: _Settings, _: int) -> ModelShape:
    width = settings["d_model"]
    encoder, decoder = (
        _post_norm(
            settings[f"{side}_layers"],
            width,
            settings[f"{side}_attention_heads"],
            settings[f"{side}_ffn_dim"],
            attentions,
        )
        for side, attentions in (("encoder", 1), ("decoder", 2))
    )
    positions = 2 * (settings["max_position_embeddings"] + 2) * width  # BART reserves two
    return _model(settings, "seq2seq", (encoder, decoder), other=positions + 4 * width)


def _post_norm(count: int, width: int, heads: int, inner: int, attentions: int = 1) -> Blocks:
    return Blocks(
        count=count,
        linears=((width, width),) * (4 * attentions) + ((width, inner), (inner, width)),
        vectors=4 * attentions * width + inner + width + (attentions + 1) * 2 * width,
        hidden=width,
        attention=width,
        key_value=width,
        heads=heads,
        feed_forward=inner,
        attentions=attentions,
    )


def _t5(settings: _Settings, _: int) -> ModelShape:
    width, inner, heads = settings["d_model"], settings["d_ff"], settings["num_heads"]
    queries, encoders = heads * settings["d_kv"], settings["num_layers"]
    decoders = settings.get("num_decoder_layers") or encoders
    gated = str(settings.get("feed_forward_proj", "relu")).startswith("gated")
    attention = ((width, queries), (width, queries), (width, queries), (queries, width))
    blocks = tuple(
        Blocks(
            count=count,
            linears=attention * attentions + ((width, inner),) * (1 + gated) + ((inner, width),),
            vectors=(attentions + 1) * width,
            hidden=width,
            attention=queries,
            key_value=queries,
            heads=heads,
            feed_forward=inner,
            gated=gated,
            rms_norm=True,
            attentions=attentions,
        )
        for attentions, count in ((1, encoders), (2, decoders))
    )
    distances = 2 * settings.get("relative_attention_num_buckets", 32) * heads
    return _model(settings, "seq2seq", blocks, other=distances + 2 * width)


def _model(
    settings: _Settings,
    kind: Kind,
    blocks: tuple[Blocks, ...],
    *,
    other: int,
    tied: bool = True,
    head: int | None = None,
) -> ModelShape:
    """Put a model together.

    Args:
        settings: Its configuration.
        kind: What it is loaded as.
        blocks: Its layers.
        other: Parameters of positions and of norms outside the layers.
        tied: Whether the output layer uses the embedding's weights where the settings do not say.
        head: Parameters of a classification head; None: the output layer predicts tokens.
    """
    rows, width = settings["vocab_size"], blocks[0].hidden
    table, layers = rows * width, sum(block.count * block.parameters for block in blocks)
    tied = head is None and bool(settings.get("tie_word_embeddings", tied))
    output = table if head is None else head
    return ModelShape(
        architecture=settings["model_type"],
        kind=kind,
        parameters=table + layers + other + (0 if tied else output),
        vocabulary=rows,
        hidden=width,
        tied=tied,
        products=layers + output,
        blocks=blocks,
    )


POOLED = ("bert", "roberta", "xlm-roberta", "camembert")
"""Classifiers that can read the mean over their tokens; each has layers of one kind, and a head of
a linear layer, a tanh and a linear layer (:mod:`daftt_core.modeling.pooling`)."""

_FORMULAS: dict[str, Callable[[_Settings, int], ModelShape]] = {
    "bart": _bart,
    "bert": _bert,
    "distilbert": _bert,
    "gpt2": _gpt,
    "gpt_neox": _gpt,
    "llama": _llama,
    "mistral": _llama,
    "olmo2": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
    "roberta": _bert,
    "t5": _t5,
    "xlm-roberta": _bert,
}
