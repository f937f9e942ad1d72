"""What decides a training's memory: the model's widths and how it is trained.

Finds a model's ``config.json`` on this machine as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from daftt_core.errors import ConfigError
from daftt_core.records.parsing import hub_id
from daftt_core.storage.models import find_remote_model, is_remote_model

Kind = Literal["causal", "classifier", "seq2seq"]
_MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Blocks:
    """Equal layers.

    Attributes:
        count: How many there are.
        linears: Width in and width out of each linear layer of one.
        vectors: Parameters of its norms and biases.
        hidden: Width of the residual stream.
        attention: Width of all query heads together.
        key_value: Width of all key heads together, which a cache of generated tokens keeps.
        heads: Query heads.
        feed_forward: Inner width of the feed-forward part.
        gated: Whether the feed-forward part multiplies two projections (SwiGLU and its kin).
        rms_norm: Whether norms are RMSNorm and not LayerNorm.
        normed: Width of queries and keys that have a norm of their own; 0 where they have none.
        fused_qkv: Whether one product makes queries, keys and values, which then share memory.
        attentions: 1, or 2 for a decoder layer that also attends to an encoder.
    """

    count: int
    linears: tuple[tuple[int, int], ...]
    vectors: int
    hidden: int
    attention: int
    key_value: int
    heads: int
    feed_forward: int
    gated: bool = False
    rms_norm: bool = False
    normed: int = 0
    fused_qkv: bool = False
    attentions: int = 1

    @property
    def parameters(self) -> int:
        """Return the parameters of one."""
        return sum(width_in * width_out for width_in, width_out in self.linears) + self.vectors

    @property
    def adapted(self) -> int:
        """Return the parameters that LoRA adds to one for each rank."""
        return sum(width_in + width_out for width_in, width_out in self.linears)


@dataclass(frozen=True)
class ModelShape:
    """What a model's needs depend on.

    Attributes:
        architecture: ``model_type`` of its configuration.
        kind: What it is loaded as.
        parameters: All parameters; tied ones are counted once.
        vocabulary: Rows of its embedding.
        hidden: Width of the residual stream.
        tied: Whether the output layer uses the embedding's weights.
        products: Parameters of the matrix products that a token passes through: the layers and
            the output layer, without lookups.
        blocks: Its layers; a sequence-to-sequence model has two kinds.
    """

    architecture: str
    kind: Kind
    parameters: int
    vocabulary: int
    hidden: int
    tied: bool
    products: int
    blocks: tuple[Blocks, ...]

    def lora_parameters(self, rank: int) -> int:
        """Return how many parameters LoRA adds to all linear layers but the output layer.

        Each of them gets two matrices, [rank, in] and [out, rank] (arXiv 2106.09685, section 4.1).
        """
        return rank * sum(block.count * block.adapted for block in self.blocks)


def known_models() -> list[str]:
    """Return the names of the models whose configuration is bundled."""
    return sorted(path.stem for path in _MODELS.glob("*.json"))


def find_model_config(name: str) -> dict[str, Any] | None:
    """Return a model's configuration; None where it is not on this machine.

    Args:
        name: A bundled name, a Hub id (with a revision or without) whose configuration is bundled,
            a model folder here or in a bucket, or the path of a ``config.json``.

    Raises:
        ConfigError: The file cannot be read.
        ModelError: There is no model in the bucket's folder.
    """
    identifier = hub_id(name)
    for path in _MODELS.glob("*.json"):
        settings = _read(path)
        if name == path.stem or (identifier and identifier.name == settings["_name_or_path"]):
            return settings
    if is_remote_model(name):
        return find_remote_model(name).config()
    path = Path(name).expanduser()
    path = path / "config.json" if path.is_dir() else path
    return _read(path) if path.suffix == ".json" and path.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a model's configuration: {error}") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: is not a model's configuration: it holds no JSON object")
    return settings


Offload = Literal["none", "cpu", "nvme"]
Method = Literal["full", "lora"]

FLOAT32 = 4
BFLOAT16 = 2


@dataclass(frozen=True)
class Setup:
    """One way to train a model.

    Attributes:
        gpus: Processes that train together, one on each GPU.
        gpus_per_node: Those on one machine.
        zero_stage: 0 to 3; 0 is plain data parallelism without DeepSpeed.
        offload: Where ZeRO keeps the optimizer's state, and with stage 3 the weights.
        micro_batch_size: Rows in one forward pass of one process.
        accumulation_steps: Forward passes whose gradients are added before the optimizer's step.
        row_tokens: Tokens of a row.
        gradient_checkpointing: Whether activations are recomputed in the backward pass.
        method: All weights (full), or low-rank additions to frozen ones (lora).
        lora_rank: Their rank.
        bf16: Whether matrix products are computed in bfloat16.
    """

    gpus: int = 1
    gpus_per_node: int = 1
    zero_stage: int = 0
    offload: Offload = "none"
    micro_batch_size: int = 1
    accumulation_steps: int = 1
    row_tokens: int = 512
    gradient_checkpointing: bool = False
    method: Method = "full"
    lora_rank: int = 16
    bf16: bool = True

    @property
    def tokens(self) -> int:
        """Return the tokens in one forward pass of one process."""
        return self.micro_batch_size * self.row_tokens

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of a weight: DeepSpeed casts the model, autocast keeps float32."""
        return BFLOAT16 if self.bf16 and self.zero_stage else FLOAT32

    @property
    def compute_bytes(self) -> int:
        """Return the bytes of a number that goes into a matrix product."""
        return BFLOAT16 if self.bf16 else FLOAT32

    def trained(self, shape: ModelShape) -> int:
        """Return how many parameters learn."""
        if self.method == "lora":
            return shape.lora_parameters(self.lora_rank)
        return shape.parameters
