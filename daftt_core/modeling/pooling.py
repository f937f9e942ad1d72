"""Mean pooling for encoders whose classifiers read the first token, as plain transformers models.

A sentence transformer was trained so that the mean over an input's tokens says what the input is
about; its first token was trained for nothing. Classifiers of BERT's and RoBERTa's kind read the
first token all the same. So one more layer of the model's own kind is put on top, with weights that
make its first token that mean: queries and keys of zero attend to every token alike, the values are
the tokens themselves, and the rest of the layer passes them on. The folder that is saved is loaded
and served by whatever serves the architecture, with one layer more, and no code of its own.

    token 1 .. n  ->  attention of 1/n each  ->  * _GAIN  ->  + token 1  ->  normalized mean

The mean is multiplied so far that the residual, the first token, is lost beside it once both are
normalized.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from daftt_core.planning.architectures import POOLED

_MARK = "mean_pooling_layer"
_GAIN = 1000.0
_SLOPE = 0.3  # of the head's tanh at first: nearly straight for a normalized mean


def pool_by_mean(model: PreTrainedModel) -> bool:
    """Put the layer on top of a classifier whose head is yet to be trained.

    Args:
        model: A sequence classifier, changed in place.

    Returns:
        Whether it has the layer now; models of other kinds are left as they are.
    """
    if model.config.model_type not in POOLED or model.config.is_decoder:
        return False
    if is_pooled_by_mean(model):
        return True
    layers: nn.ModuleList = cast(Any, model.base_model).encoder.layer
    layers.append(_mean_layer(layers[-1]))
    model.config.num_hidden_layers = len(layers)
    setattr(model.config, _MARK, True)
    return True


def is_pooled_by_mean(model: PreTrainedModel) -> bool:
    """Return whether a model has the layer; its configuration says so."""
    return bool(getattr(model.config, _MARK, False))


def prepare_training(model: PreTrainedModel) -> None:
    """Let the fresh head of a model with the layer pass the mean on, nearly as it is.

    The layer itself stays as it is when the model is trained.
    """
    with torch.no_grad():
        _fill(_dense(model), _SLOPE)
    cast(Any, model.base_model).encoder.layer[-1].requires_grad_(False)


@contextmanager
def mean_at_once(model: PreTrainedModel) -> Iterator[None]:
    """Let the layer compute in the block only what is read of it: the mean, for the first token.

    The result is the layer's own up to rounding, for about the time of a mean. In training, dropout
    meets the mean as it does in the layer, but no single tokens. Models without the layer, or with
    one that something else has trained, are left as they are.
    """
    layer: Any = cast(Any, model.base_model).encoder.layer[-1] if is_pooled_by_mean(model) else None
    if layer is None or not _is_mean_layer(layer):
        yield
        return
    layer.forward = partial(_mean_of_tokens, layer)
    try:
        yield
    finally:
        del layer.forward


def _mean_of_tokens(
    layer: Any, hidden: torch.Tensor, mask: torch.Tensor | None = None, *_: Any, **__: Any
) -> torch.Tensor:
    """Return what the layer makes of the first token, of shape [inputs, 1, size].

    Args:
        layer: The layer.
        hidden: The tokens, of shape [inputs, tokens, size].
        mask: Which of them are no padding: of shape [inputs, 1, any, tokens], true or 0.0 for such
            a token, or [inputs, tokens], 1 for it; None: all.
    """
    if mask is None:
        mean = hidden.mean(dim=1)
    else:
        rows = mask[:, 0, 0] if mask.ndim == 4 else mask > 0
        shares = (rows >= 0 if rows.is_floating_point() else rows).to(hidden.dtype)
        shares = shares / shares.sum(dim=1, keepdim=True)
        mean = (shares[:, None] @ hidden)[:, 0]
    attention = layer.attention.output
    attended = attention.LayerNorm(attention.dropout(_GAIN * mean) + hidden[:, 0])
    return cast(torch.Tensor, layer.output.LayerNorm(attended))[:, None]


def features(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return what the last linear layer of a model with the layer reads, of shape [inputs, size].

    Args:
        model: The model.
        inputs: A batch without labels.
    """
    first: torch.Tensor = model.base_model(**inputs).last_hidden_state[:, 0]
    return torch.tanh(_dense(model)(first))


def output_layer(model: PreTrainedModel) -> nn.Linear:
    """Return the last linear layer of a model with the layer; its weight is [labels, size]."""
    head: Any = model.classifier
    return cast(nn.Linear, getattr(head, "out_proj", head))


def _mean_layer(layer: nn.Module) -> nn.Module:
    """Return a layer like this one that makes its first token the mean over all."""
    made: Any = copy.deepcopy(layer)
    attention = made.attention
    with torch.no_grad():
        for linear, scale in (
            (attention.self.query, 0.0),
            (attention.self.key, 0.0),
            (attention.self.value, 1.0),
            (attention.output.dense, _GAIN),
        ):
            _fill(linear, scale)
        for linear in (made.intermediate.dense, made.output.dense):
            linear.weight.zero_()
            linear.bias.zero_()
        for norm in (attention.output.LayerNorm, made.output.LayerNorm):
            norm.weight.fill_(1.0)
            norm.bias.zero_()
    return cast(nn.Module, made)


def _is_mean_layer(layer: nn.Module) -> bool:
    pairs = zip(layer.parameters(), _mean_layer(layer).parameters(), strict=True)
    return all(torch.equal(mine, made) for mine, made in pairs)


def _dense(model: PreTrainedModel) -> nn.Linear:
    """Return the linear layer before the head's tanh."""
    owner: Any = model.base_model.pooler if model.config.model_type == "bert" else model.classifier
    return cast(nn.Linear, owner.dense)


def _fill(linear: nn.Linear, scale: float) -> None:
    """Make a linear layer a multiple of the identity."""
    linear.weight.copy_(scale * torch.eye(*linear.weight.shape))
    linear.bias.zero_()
