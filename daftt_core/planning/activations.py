"""What a forward pass keeps for the backward pass.

Source: Reducing Activation Recomputation, arXiv 2205.05198, section 4. That paper counts Megatron's
layers (34 bytes a token and unit of width, and the attention matrix); here transformers' layers
are counted the same way, tensor by tensor, with attention that keeps no matrix (torch's
scaled_dot_product_attention).
"""

from __future__ import annotations

from daftt_core.planning.shapes import Blocks, ModelShape
from daftt_core.planning.training_setup import FLOAT32, Setup

__all__ = ["activation_bytes", "layer_bytes", "logit_bytes"]


def activation_bytes(shape: ModelShape, setup: Setup) -> float:
    """What the layers keep from the forward pass to the backward pass, without the logits."""
    if setup.gradient_checkpointing:
        return setup.tokens * sum(b.count * b.hidden * setup.weight_bytes for b in shape.blocks)
    return setup.tokens * sum(b.count * _kept_bytes(b, setup) for b in shape.blocks)


def _kept_bytes(block: Blocks, setup: Setup) -> float:
    """Bytes that one layer keeps for one token."""
    number, residual = setup.compute_bytes, setup.weight_bytes  # autocast adds in float32
    cast = number != residual  # autocast casts the input of each product anew
    inputs = 1 if block.fused_qkv or not cast else 3
    into = (2 if block.gated else 1) if cast else 1
    attention = number * (inputs * block.hidden + 4 * block.attention) + 4 * block.heads
    if block.fused_qkv:
        attention += number * 2 * block.attention  # values keep the whole product alive
    inner = number * (4 if block.gated else 2) * block.feed_forward + number * into * block.hidden
    norms = (block.attentions + 1) * _norm_bytes(block, block.hidden, residual, setup)
    norms += _norm_bytes(block, block.normed, number, setup)
    return block.attentions * attention + inner + norms


def _norm_bytes(block: Blocks, width: int, number: int, setup: Setup) -> float:
    """A LayerNorm keeps its input; transformers' RMSNorm that in float32, and the scaled one."""
    if not block.rms_norm:
        return float(number * width)
    scaled = number if setup.method == "full" else 0  # only a weight that learns needs it
    return float((FLOAT32 + scaled) * width)


def layer_bytes(shape: ModelShape, setup: Setup) -> tuple[float, float]:
    """What one layer keeps, and the gradients that flow through it on the way back."""
    kept = max(_kept_bytes(block, setup) for block in shape.blocks)
    flowing = max(
        2 * setup.compute_bytes * block.feed_forward + 2 * setup.weight_bytes * block.hidden
        for block in shape.blocks
    )
    return setup.tokens * kept, float(setup.tokens * flowing)


def logit_bytes(shape: ModelShape, setup: Setup) -> float:
    """Copies of the logits when the backward pass begins.

    The loss is computed in float32: log-probabilities, their gradient and that of the logits.
    """
    if shape.kind == "classifier":
        return 0.0
    return 3.0 * FLOAT32 * shape.vocabulary * setup.tokens
