"""The student that is made on this machine: always the same one, and it takes any script."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from daftt_core.errors import ModelError
from daftt_core.modeling import context_length, find_model, load_text_to_text, model_digest
from daftt_core.modeling.building import build_byte_bart
from daftt_core.planning.shapes import find_model_config


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def test_it_is_the_same_to_the_byte_whatever_was_drawn_before(tmp_path: Path) -> None:
    torch.manual_seed(1)
    build_byte_bart(tmp_path / "one")
    drawn = torch.rand(3)
    torch.manual_seed(2)
    build_byte_bart(tmp_path / "other")
    assert digests(tmp_path / "one") == digests(tmp_path / "other")
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))  # and nobody else's random numbers change


def test_it_is_made_once_and_found_by_its_name(cache: Path) -> None:
    folder = find_model("byte-bart")
    assert folder.is_relative_to(cache)
    before = folder.stat().st_mtime_ns
    assert find_model("byte-bart") == folder
    assert folder.stat().st_mtime_ns == before
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert find_model("byte-bart") == folder
    assert (folder / "model.safetensors").stat().st_size > 3_000_000
    assert model_digest("byte-bart") == model_digest("byte-bart") != model_digest("byte-bert")


def test_it_reads_bytes_of_any_script_and_writes_text() -> None:
    model, tokenizer = load_text_to_text("byte-bart")
    assert context_length(model, tokenizer) == 512
    settings = find_model_config("byte-bart") or {}
    for name in ("vocab_size", "pad_token_id", "eos_token_id"):
        assert getattr(model.config, name) == settings[name]
    assert (len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id) == (259, 0, 1)
    for text in ("go", " two  words\n", "naïve façade", "走る", "</s"):
        ids = tokenizer(text)["input_ids"]
        assert len(ids) == len(text.encode()) + 1
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    written = model.generate(**tokenizer(["go"], return_tensors="pt"), max_new_tokens=3)
    assert written.shape[0] == 1


def test_a_slip_in_its_name_is_answered_with_it() -> None:
    with pytest.raises(ModelError, match="did you mean 'byte-bart'"):
        find_model("byte-brat")
