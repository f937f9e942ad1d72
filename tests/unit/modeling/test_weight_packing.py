"""Packed weights give what the plain layers gave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_gpt_neox, tiny_llama

from daftt_core.modeling import load_causal_lm, pack_weights

TEXTS = ["a good film", "a bad play\nOutput: x"]


@pytest.mark.parametrize("make", [tiny_gpt_neox, tiny_llama])
def test_a_packed_model_gives_the_same_logits(make: Callable[..., Path], tmp_path: Path) -> None:
    plain, _ = load_causal_lm(make(tmp_path, TEXTS))
    packed, _ = load_causal_lm(tmp_path)
    pack_weights(packed)
    assert not any(type(module) is torch.nn.Linear for module in packed.modules())
    with torch.inference_mode():
        for shape in [(1, 1), (3, 7), (32, 20)]:
            ids = torch.randint(5, 20, shape)
            torch.testing.assert_close(
                packed(input_ids=ids).logits, plain(input_ids=ids).logits, atol=1e-5, rtol=1e-4
            )


def test_weights_in_bfloat16_stay_as_they_are(tmp_path: Path) -> None:
    model, _ = load_causal_lm(tiny_llama(tmp_path, TEXTS), dtype=torch.bfloat16)
    before = [type(module) for module in model.modules()]
    pack_weights(model)
    assert [type(module) for module in model.modules()] == before
