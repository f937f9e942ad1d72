"""Weights laid out as the CPU's matrix products want them, done once before a model is asked.

PyTorch's own products on a CPU rearrange a weight each time they use it. With the few rows of a
step of writing that costs more than the product itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _PackedLinear(torch.nn.Module):
    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        # any number of rows may come: no layout is preferred for one of them
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, rows: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._weight, self._bias, "none", [], ""
        )
        return product


def pack_weights(model: Any) -> None:
    """Replace a model's linear layers by faster ones that can be used but not trained or saved.

    Results differ from the plain layers' in rounding only. Layers on a GPU, or in another format
    than float32, stay as they are.

    Args:
        model: Any module; it is changed in place.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear and _is_packable(child.weight):
                setattr(module, name, _PackedLinear(child))


def _is_packable(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32
