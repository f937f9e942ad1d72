"""Memory of training and of inference, by part, on each GPU and on each machine.

Sources:

- ZeRO, arXiv 1910.02054, sections 3.1 and 5: for each parameter 2 bytes of bf16 weight, 2 of bf16
  gradient and 12 of Adam's state (a float32 weight, momentum and variance); stage 1 divides the
  state among the processes, stage 2 also the gradients, stage 3 also the weights.
- DeepSpeed 0.19, ``runtime/zero``: the gradient's float32 copy in the optimizer's step (4 bytes;
  with it the 18 bytes of DeepSpeed's own estimate), and the sizes of its buffers.

Four moments of a training step can be the peak: the loss (all activations and several copies of
the logits), the first layer of the backward pass, its last one (all gradients), and the optimizer's
step. Before them comes a fifth, loading. The parts are those of the moment that needs most.

What a forward pass keeps for the backward pass.

Source: Reducing Activation Recomputation, arXiv 2205.05198, section 4. That paper counts Megatron's
layers (34 bytes a token and unit of width, and the attention matrix); here transformers' layers
are counted the same way, tensor by tensor, with attention that keeps no matrix (torch's
scaled_dot_product_attention).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from daftt_core.planning.shapes import BFLOAT16, FLOAT32, Blocks, ModelShape, Setup


def activation_bytes(shape: ModelShape, setup: Setup) -> float:
    """Return what the layers keep for the backward pass, without the logits."""
    if setup.gradient_checkpointing:
        return setup.tokens * sum(b.count * b.hidden * setup.weight_bytes for b in shape.blocks)
    return setup.tokens * sum(b.count * _kept_bytes(b, setup) for b in shape.blocks)


def _kept_bytes(block: Blocks, setup: Setup) -> float:
    """Return the bytes that one layer keeps for one token."""
    number, residual = setup.compute_bytes, setup.weight_bytes  # autocast adds in float32
    cast = number != residual  # autocast casts the input of each product
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
    """Return the bytes a norm keeps: its input; RMSNorm in float32, and the scaled one."""
    if not block.rms_norm:
        return float(number * width)
    scaled = number if setup.method == "full" else 0  # only a weight that learns needs it
    return float((FLOAT32 + scaled) * width)


def layer_bytes(shape: ModelShape, setup: Setup) -> tuple[float, float]:
    """Return what one layer keeps, and the gradients in its backward pass."""
    kept = max(_kept_bytes(block, setup) for block in shape.blocks)
    flowing = max(
        2 * setup.compute_bytes * block.feed_forward + 2 * setup.weight_bytes * block.hidden
        for block in shape.blocks
    )
    return setup.tokens * kept, float(setup.tokens * flowing)


def logit_bytes(shape: ModelShape, setup: Setup) -> float:
    """Return the bytes of all copies of the logits when the backward pass begins.

    The loss is computed in float32: log-probabilities, their gradient and that of the logits.
    """
    if shape.kind == "classifier":
        return 0.0
    return 3.0 * FLOAT32 * shape.vocabulary * setup.tokens


_Moment = Literal["loss", "first layer", "last layer", "step"]

_ADAM_BYTES = 8
_STEP_ELEMENTS = 1_000_000_000
"""ZeRO-3 takes its optimizer step in groups of so many elements (``sub_group_size``)."""
_LIVE_ELEMENTS = 1_000_000_000
"""Elements that ZeRO-3 gathers at most at once (``stage3_max_live_parameters``)."""
_GATHER_ELEMENTS = 500_000_000
"""Elements that ZeRO-1 and 2 gather at once after a step (``allgather_bucket_size``)."""
_SWAP_BUFFERS = 4
"""Pinned buffers, each of the size of a step's group, between disk and GPU (``buffer_count``)."""
_PROCESS_BYTES = 3 * 2**30
"""Python, torch and CUDA's libraries in one process."""


@dataclass(frozen=True)
class MemoryParts:
    """Bytes on one GPU at the peak.

    Attributes:
        parameters: The weights.
        gradients: The gradients that exist at that moment.
        optimizer: Adam's state, and its float32 weights under ZeRO.
        activations: What the backward pass needs, and the logits.
        buffers: For communication, gathered weights, and copies in lower or higher precision.
    """

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    buffers: float

    @property
    def total(self) -> float:
        """Return the sum."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.buffers


def training_parts(shape: ModelShape, setup: Setup) -> MemoryParts:
    """Return what one GPU holds at the peak of training.

    Args:
        shape: The model.
        setup: How it is trained.
    """
    states = _Zero(shape, setup) if setup.zero_stage else _Plain(shape, setup)
    kept = activation_bytes(shape, setup)
    logits = logit_bytes(shape, setup)
    layer, flowing = layer_bytes(shape, setup)
    again = layer if setup.gradient_checkpointing else 0.0
    # the output layer's gradient; LoRA leaves that layer frozen
    table = shape.vocabulary * shape.hidden * setup.weight_bytes * (setup.method == "full")
    moments = [
        states.parts("loss", gradients=0.0, activations=kept + logits),
        states.parts("first layer", gradients=float(table), activations=kept + again + flowing),
        # the embedding's gradient stands beside the one it is added to
        states.parts(
            "last layer",
            gradients=states.all_gradients + table * shape.tied,
            activations=layer + flowing,
        ),
        states.parts("step", gradients=states.all_gradients, activations=0.0),
        MemoryParts(_loaded_bytes(shape, setup), 0.0, 0.0, 0.0, 0.0),
    ]
    return max(moments, key=lambda parts: parts.total)


class _Plain:
    """Weights as they are in every process, with autocast where products are bfloat16."""

    def __init__(self, shape: ModelShape, setup: Setup) -> None:
        self._trained = setup.trained(shape)
        self._weights = shape.parameters
        if setup.method == "lora":
            self._weights += self._trained
        self.all_gradients = float(FLOAT32 * self._trained)
        # layers that are computed again cast their weights again, one after the other
        self._copies_at = ("loss",) if setup.gradient_checkpointing else ("loss", "first layer")
        self._copies = BFLOAT16 * _cast_weights(shape, setup) if setup.bf16 else 0
        self._kept_gradients = self.all_gradients if setup.accumulation_steps > 1 else 0.0
        self._buckets = self.all_gradients if setup.gpus > 1 else 0.0

    def parts(self, moment: _Moment, *, gradients: float, activations: float) -> MemoryParts:
        return MemoryParts(
            parameters=FLOAT32 * self._weights,
            gradients=max(gradients, self._kept_gradients),
            optimizer=_ADAM_BYTES * self._trained,
            activations=activations,
            buffers=self._buckets + (self._copies if moment in self._copies_at else 0),
        )


def _cast_weights(shape: ModelShape, setup: Setup) -> int:
    """Return how many weights autocast copies to bfloat16 until the backward pass.

    Copies of weights that learn are kept for the whole forward pass; those of frozen ones are made
    for each product and live as long as the layer's activations.
    """
    if setup.method == "lora" and setup.gradient_checkpointing:
        head = 0 if shape.kind == "classifier" else shape.vocabulary * shape.hidden
        return head + max(b.parameters for b in shape.blocks)
    return shape.products + (setup.trained(shape) if setup.method == "lora" else 0)


class _Zero:
    """What DeepSpeed's ZeRO holds."""

    def __init__(self, shape: ModelShape, setup: Setup) -> None:
        trained = setup.trained(shape)
        weights = shape.parameters + (trained if setup.method == "lora" else 0)
        width, away = setup.weight_bytes, setup.offload != "none"
        share = trained / setup.gpus
        sharded = setup.zero_stage == 3
        bucket = shape.hidden**2  # as transformers' Trainer sets it; two take turns
        self._parameters = width * weights / (setup.gpus if sharded else 1)
        self._optimizer = 0.0 if away else (FLOAT32 + _ADAM_BYTES) * share
        self._buffers = 2.0 * width * bucket
        if sharded:
            self._parameters = 0.0 if away else self._parameters
            self._buffers += width * (_largest_gather(shape) + 0.9 * bucket)
        self.all_gradients = width * (trained if setup.zero_stage == 1 else share)
        group = min(share, _STEP_ELEMENTS) if sharded else share
        self._step = group * (width + FLOAT32)  # flattened, then copied to float32
        if away:
            self.all_gradients = 0.0 if setup.zero_stage > 1 else self.all_gradients
            self._step = 0.0
        if not sharded:
            self._step = max(self._step, float(width * min(weights, _GATHER_ELEMENTS)))

    def parts(self, moment: _Moment, *, gradients: float, activations: float) -> MemoryParts:
        return MemoryParts(
            parameters=self._parameters,
            gradients=self.all_gradients,  # their place is taken at every moment
            optimizer=self._optimizer,
            activations=activations,
            buffers=self._buffers + (self._step if moment == "step" else 0.0),
        )


def _loaded_bytes(shape: ModelShape, setup: Setup) -> float:
    """Return the bytes of weights before DeepSpeed has them: float32, whole unless stage 3."""
    return 0.0 if setup.zero_stage == 3 else float(FLOAT32 * shape.parameters)


def _largest_gather(shape: ModelShape) -> float:
    """Return how many elements ZeRO-3 gathers at once: its limit, but at least one table."""
    table = shape.vocabulary * shape.hidden
    layer = max(block.parameters for block in shape.blocks)
    return max(table, layer, min(shape.parameters, _LIVE_ELEMENTS))


def host_bytes(shape: ModelShape, setup: Setup) -> float:
    """Return the bytes that one machine needs for its processes, at most.

    Each process loads the weights in float32 before they go to its GPU; with stage 3 one process
    of a machine reads them and the others get their shard. What is offloaded stays, with the pinned
    buffers it passes through (a factor of 1.5 in DeepSpeed's own estimate).
    """
    loading = FLOAT32 * shape.parameters * (1 if setup.zero_stage == 3 else setup.gpus_per_node)
    here = setup.gpus_per_node / setup.gpus
    trained = setup.trained(shape) * here
    offloaded = 0.0
    if setup.offload == "cpu":
        offloaded = (FLOAT32 + _ADAM_BYTES + FLOAT32) * trained
        if setup.zero_stage == 3:
            offloaded += setup.weight_bytes * (shape.parameters * here)
        offloaded *= 1.5
    if setup.offload == "nvme":
        group = min(setup.trained(shape) / setup.gpus, _STEP_ELEMENTS)
        offloaded = setup.gpus_per_node * _SWAP_BUFFERS * FLOAT32 * group
    return max(loading, offloaded) + setup.gpus_per_node * _PROCESS_BYTES


def inference_parts(
    shape: ModelShape, *, batch_size: int, row_tokens: int, weight_bytes: int
) -> MemoryParts:
    """Return what one GPU holds while a model labels or writes.

    Args:
        shape: The model.
        batch_size: Rows in one forward pass.
        row_tokens: Tokens of a row, prompt and answer.
        weight_bytes: Bytes of a weight.
    """
    tokens = batch_size * row_tokens
    widest = max(b.hidden + 4 * b.attention + 3 * b.feed_forward for b in shape.blocks)
    cache = logits = 0
    if shape.kind != "classifier":
        cache = sum(2 * b.count * b.attentions * b.key_value for b in shape.blocks)
        logits = 2 * FLOAT32 * shape.vocabulary * batch_size
    return MemoryParts(
        parameters=float(weight_bytes * shape.parameters),
        gradients=0.0,
        optimizer=0.0,
        activations=float(weight_bytes * tokens * widest + logits),
        buffers=float(weight_bytes * tokens * cache),
    )
