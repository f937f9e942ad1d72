"""How a model is trained, as far as memory and time depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from daftt_core.planning.shapes import ModelShape

__all__ = ["BFLOAT16", "FLOAT32", "Method", "Offload", "Setup"]

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
        gradient_checkpointing: Whether activations are computed again on the way back.
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
        """Tokens in one forward pass of one process."""
        return self.micro_batch_size * self.row_tokens

    @property
    def weight_bytes(self) -> int:
        """Bytes of a weight: DeepSpeed casts the model, autocast leaves it in float32."""
        return BFLOAT16 if self.bf16 and self.zero_stage else FLOAT32

    @property
    def compute_bytes(self) -> int:
        """Bytes of a number that goes into a matrix product."""
        return BFLOAT16 if self.bf16 else FLOAT32

    def trained(self, shape: ModelShape) -> int:
        """Parameters that learn."""
        if self.method == "lora":
            return shape.lora_parameters(self.lora_rank)
        return shape.parameters
