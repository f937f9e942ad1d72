"""Classifiers that read the mean over the tokens, and are plain transformers models still."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models
import torch
from torch.nn.functional import layer_norm
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from daftt_core.modeling import Template, load_classifier, set_seeds
from daftt_core.modeling.pooling import features, is_pooled_by_mean

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
