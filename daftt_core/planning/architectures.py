"""A model's size, worked out from its ``config.json`` alone: no weights and no torch.

Each architecture has a formula. The tests compare every one of them with the model that
transformers builds from the same file, parameter by parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from daftt_core.errors import ConfigError, did_you_mean
from daftt_core.planning.shapes import Blocks, ModelShape

_Settings = Mapping[str, Any]


def read_shape(settings: _Settings, *, labels: int = 2) -> ModelShape:
    """The shape of a model.

    Args:
        settings: Its ``config.json``, read.
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


def _gpt_neox(settings: _Settings, _: int) -> ModelShape:
    width, inner = settings["hidden_size"], settings["intermediate_size"]
    linears = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    bias = settings.get("attention_bias", True)
    biases = (4 * width if bias else 0) + inner + width
    block = Blocks(
        count=settings["num_hidden_layers"],
        parameters=_weights(linears) + biases + 4 * width,
        hidden=width,
        attention=width,
        heads=settings["num_attention_heads"],
        feed_forward=inner,
        gated=False,
        rms_norm=False,
        normed=0,
        fused_qkv=True,
        attentions=1,
        adapted=_ends(linears),
        key_value=width,
    )
    return _decoder(settings, block, final_norm=2 * width, positions=0, tied=False)


def _llama(settings: _Settings, _: int) -> ModelShape:
    """Llama, Mistral, OLMo 2, Qwen2, Qwen3: grouped queries, RMSNorm, a gated feed-forward part."""
    architecture = settings["model_type"]
    width, inner = settings["hidden_size"], settings["intermediate_size"]
    heads = settings["num_attention_heads"]
    size = settings.get("head_dim") or width // heads
    queries, keys = heads * size, (settings.get("num_key_value_heads") or heads) * size
    linears = [(width, queries), (width, keys), (width, keys), (queries, width)]
    linears += [(width, inner), (width, inner), (inner, width)]
    biases = 0
    if architecture == "qwen2":
        biases += queries + 2 * keys
    elif architecture != "mistral" and settings.get("attention_bias"):
        biases += queries + 2 * keys + width
    if architecture == "llama" and settings.get("mlp_bias"):
        biases += 2 * inner + width
    # Qwen3 scales the heads one by one, with one weight for all; OLMo 2 all of them together
    head_norms = {"qwen3": 2 * size, "olmo2": queries + keys}.get(architecture, 0)
    block = Blocks(
        count=settings["num_hidden_layers"],
        parameters=_weights(linears) + biases + 2 * width + head_norms,
        hidden=width,
        attention=queries,
        heads=heads,
        feed_forward=inner,
        gated=True,
        rms_norm=True,
        normed=queries + keys if head_norms else 0,
        fused_qkv=False,
        attentions=1,
        adapted=_ends(linears),
        key_value=keys,
    )
    return _decoder(settings, block, final_norm=width, positions=0, tied=False)


def _gpt2(settings: _Settings, _: int) -> ModelShape:
    width = settings["n_embd"]
    inner = settings.get("n_inner") or 4 * width
    linears = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    block = Blocks(
        count=settings["n_layer"],
        parameters=_weights(linears) + 5 * width + inner + 4 * width,
        hidden=width,
        attention=width,
        heads=settings["n_head"],
        feed_forward=inner,
        gated=False,
        rms_norm=False,
        normed=0,
        fused_qkv=True,
        attentions=1,
        adapted=_ends(linears),
        key_value=width,
    )
    positions = settings["n_positions"] * width
    return _decoder(settings, block, final_norm=2 * width, positions=positions, tied=True)


def _decoder(
    settings: _Settings, block: Blocks, *, final_norm: int, positions: int, tied: bool
) -> ModelShape:
    rows = settings["vocab_size"]
    table, layers = rows * block.hidden, block.count * block.parameters
    tied = bool(settings.get("tie_word_embeddings", tied))
    return ModelShape(
        architecture=settings["model_type"],
        kind="causal",
        parameters=(1 if tied else 2) * table + positions + layers + final_norm,
        vocabulary=rows,
        hidden=block.hidden,
        tied=tied,
        products=layers + table,
        blocks=(block,),
    )


def _bert(settings: _Settings, labels: int) -> ModelShape:
    """BERT, RoBERTa, XLM-RoBERTa and DistilBERT with their classification heads."""
    distil = settings["model_type"] == "distilbert"
    width = settings["dim" if distil else "hidden_size"]
    inner = settings["hidden_dim" if distil else "intermediate_size"]
    types = 0 if distil else settings.get("type_vocab_size", 2)
    rows = settings["vocab_size"] + settings["max_position_embeddings"] + types
    block = _post_norm_block(
        settings["n_layers" if distil else "num_hidden_layers"],
        width,
        settings["n_heads" if distil else "num_attention_heads"],
        inner,
        attentions=1,
    )
    head = width * width + width + width * labels + labels
    layers = block.count * block.parameters
    return ModelShape(
        architecture=settings["model_type"],
        kind="classifier",
        parameters=rows * width + 2 * width + layers + head,
        vocabulary=settings["vocab_size"],
        hidden=width,
        tied=False,
        products=layers + head,
        blocks=(block,),
    )


def _bart(settings: _Settings, _: int) -> ModelShape:
    width, rows = settings["d_model"], settings["vocab_size"]
    encoder, decoder = (
        _post_norm_block(
            settings[f"{side}_layers"],
            width,
            settings[f"{side}_attention_heads"],
            settings[f"{side}_ffn_dim"],
            attentions=attentions,
        )
        for side, attentions in (("encoder", 1), ("decoder", 2))
    )
    layers = encoder.count * encoder.parameters + decoder.count * decoder.parameters
    positions = 2 * (settings["max_position_embeddings"] + 2) * width  # BART reserves two
    return ModelShape(
        architecture=settings["model_type"],
        kind="seq2seq",
        parameters=rows * width + positions + 4 * width + layers,
        vocabulary=rows,
        hidden=width,
        tied=True,
        products=layers + rows * width,
        blocks=(encoder, decoder),
    )


def _post_norm_block(count: int, width: int, heads: int, inner: int, *, attentions: int) -> Blocks:
    linears = [(width, width)] * (4 * attentions) + [(width, inner), (inner, width)]
    norms = (attentions + 1) * 2 * width
    return Blocks(
        count=count,
        parameters=_weights(linears) + 4 * attentions * width + inner + width + norms,
        hidden=width,
        attention=width,
        heads=heads,
        feed_forward=inner,
        gated=False,
        rms_norm=False,
        normed=0,
        fused_qkv=False,
        attentions=attentions,
        adapted=_ends(linears),
        key_value=width,
    )


def _t5(settings: _Settings, _: int) -> ModelShape:
    width, inner, heads = settings["d_model"], settings["d_ff"], settings["num_heads"]
    rows, queries = settings["vocab_size"], heads * settings["d_kv"]
    gated = str(settings.get("feed_forward_proj", "relu")).startswith("gated")
    encoders = settings["num_layers"]
    blocks = []
    for attentions, count in (1, encoders), (2, settings.get("num_decoder_layers") or encoders):
        linears = [(width, queries), (width, queries), (width, queries), (queries, width)]
        linears = linears * attentions + [(width, inner)] * (2 if gated else 1) + [(inner, width)]
        blocks.append(
            Blocks(
                count=count,
                parameters=_weights(linears) + (attentions + 1) * width,
                hidden=width,
                attention=queries,
                heads=heads,
                feed_forward=inner,
                gated=gated,
                rms_norm=True,
                normed=0,
                fused_qkv=False,
                attentions=attentions,
                adapted=_ends(linears),
                key_value=queries,
            )
        )
    layers = sum(block.count * block.parameters for block in blocks)
    distances = 2 * settings.get("relative_attention_num_buckets", 32) * heads
    tied = bool(settings.get("tie_word_embeddings", True))
    return ModelShape(
        architecture=settings["model_type"],
        kind="seq2seq",
        parameters=(1 if tied else 2) * rows * width + layers + distances + 2 * width,
        vocabulary=rows,
        hidden=width,
        tied=tied,
        products=layers + rows * width,
        blocks=tuple(blocks),
    )


def _weights(linears: list[tuple[int, int]]) -> int:
    return sum(before * after for before, after in linears)


def _ends(linears: list[tuple[int, int]]) -> int:
    return sum(before + after for before, after in linears)


_FORMULAS: dict[str, Callable[[_Settings, int], ModelShape]] = {
    "bart": _bart,
    "bert": _bert,
    "distilbert": _bert,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
    "mistral": _llama,
    "olmo2": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
    "roberta": _bert,
    "t5": _t5,
    "xlm-roberta": _bert,
}
