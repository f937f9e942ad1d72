"""Classifiers that read the mean over the tokens, and are plain transformers models still."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import tiny_models
import torch
from torch.nn.functional import layer_norm
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from daftt_core.modeling import Template, load_classifier, set_seeds
from daftt_core.modeling.pooling import features, is_pooled_by_mean, mean_at_once

TEXTS = ["one two three four five", "six", "one six two"]
LABELS = ["no", "yes"]


def folder_of(kind: str, path: Path) -> Path:
    words = " ".join(TEXTS).split()
    return Path(getattr(tiny_models, f"tiny_{kind}")(path / kind, words))


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_head_reads_the_normalized_mean_over_the_tokens(kind: str, tmp_path: Path) -> None:
    folder = folder_of(kind, tmp_path)
    template = Template(folder, LABELS, mean_pooling=True)
    plain = Template(folder, LABELS).model
    batch = template.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = plain.base_model(**batch).last_hidden_state
        read = features(template.start(), dict(batch))
    mask = batch["attention_mask"][:, :, None]
    mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    expected = torch.tanh(0.3 * layer_norm(mean, mean.shape[-1:]))
    assert torch.allclose(read, expected, atol=0.01)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_plain_transformers_loads_it_and_answers_alike(kind: str, tmp_path: Path) -> None:
    template = Template(folder_of(kind, tmp_path), LABELS, mean_pooling=True)
    set_seeds(1)
    model = template.start()
    model.save_pretrained(tmp_path / "saved")
    template.tokenizer.save_pretrained(tmp_path / "saved")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    alone = [tokenizer(text, return_tensors="pt") for text in TEXTS]
    together = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        own = model(**together).logits
        assert torch.equal(loaded(**together).logits, own)
        assert torch.allclose(torch.cat([loaded(**one).logits for one in alone]), own, atol=1e-4)
    assert own.std() > 0


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]], ids=["padded", "alone"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_mean_at_once_gives_what_the_layer_gives(
    kind: str, texts: list[str], attention: str, tmp_path: Path
) -> None:
    template = Template(folder_of(kind, tmp_path), LABELS, mean_pooling=True)
    set_seeds(1)
    model = template.start()
    model.set_attn_implementation(attention)
    batch = template.tokenizer(texts, padding=True, return_tensors="pt")
    weights: torch.nn.Parameter = model.get_input_embeddings().weight  # type: ignore[assignment]

    def answer() -> tuple[torch.Tensor, torch.Tensor]:
        weights.grad = None
        logits = model(**batch).logits
        logits[:, 0].sum().backward()
        assert weights.grad is not None
        return logits, weights.grad

    expected = answer()
    with mean_at_once(model):
        found = answer()
    after = answer()
    for value, at_once, again in zip(expected, found, after, strict=True):
        tolerance = 1e-5 * float(value.detach().abs().max())
        assert torch.allclose(at_once, value, rtol=1e-3, atol=tolerance)
        assert torch.equal(again, value)


def test_the_mean_at_once_is_not_taken_of_a_layer_that_was_trained(tmp_path: Path) -> None:
    template = Template(folder_of("bert", tmp_path), LABELS, mean_pooling=True)
    model = template.start()
    batch = template.tokenizer(TEXTS, padding=True, return_tensors="pt")
    layer: Any = list(cast(Any, model.base_model).encoder.layer)[-1]
    with torch.no_grad():
        layer.attention.self.query.bias.add_(0.5)
        layer.output.dense.bias.add_(0.5)
        expected = model(**batch).logits
        with mean_at_once(model):
            assert torch.equal(model(**batch).logits, expected)


def test_a_trained_head_keeps_what_it_reads(tmp_path: Path) -> None:
    template = Template(folder_of("bert", tmp_path), LABELS, mean_pooling=True)
    layers = template.model.config.num_hidden_layers
    template.start().save_pretrained(tmp_path / "pooled")
    template.tokenizer.save_pretrained(tmp_path / "pooled")
    own = load_classifier(folder_of("bert", tmp_path / "other"), LABELS)[0]
    own.save_pretrained(tmp_path / "own")
    template.tokenizer.save_pretrained(tmp_path / "own")
    again = Template(tmp_path / "pooled", LABELS, mean_pooling=True)
    others = Template(tmp_path / "pooled", ["a", "b", "c"], mean_pooling=True)
    assert not again.pooled  # it goes on as it is, head and all
    assert others.pooled
    for each in (again, others):
        assert each.model.config.num_hidden_layers == layers
        assert is_pooled_by_mean(each.model)
    trained = Template(tmp_path / "own", LABELS, mean_pooling=True)
    assert not is_pooled_by_mean(trained.model)


@pytest.mark.parametrize("kind", ["deberta", "modernbert", "gpt2"])
def test_models_of_other_kinds_keep_their_own_head(kind: str, tmp_path: Path) -> None:
    template = Template(folder_of(kind, tmp_path), LABELS, mean_pooling=True)
    assert not template.pooled
    assert not is_pooled_by_mean(template.start())
