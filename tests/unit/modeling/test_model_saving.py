"""Writing a model as a folder that plain transformers reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import tiny_gpt_neox
from transformers import AutoModelForCausalLM

from daftt_core.modeling import load_causal_lm, save_model, saving


def test_large_weights_are_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = load_causal_lm(tiny_gpt_neox(tmp_path / "tiny", ["the soup was warm"]))
    weights = {name: one.detach().clone() for name, one in model.state_dict().items()}
    monkeypatch.setattr(saving, "SHARD_SIZE", "100KB")
    save_model(model, tokenizer, tmp_path / "saved", weights)
    assert len(list((tmp_path / "saved").glob("model-*.safetensors"))) > 1
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    ids = tokenizer("the soup was warm", return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, model(ids).logits)
