"""A special token that a text spells is text, for every kind of tokenizer and wherever it is used.

The tokenizers are the real ones at hand and small ones of each family's own class, because what has
to be done differs with the kind of their pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import tiny_bert
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    AutoTokenizer,
    ByT5Tokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    T5Tokenizer,
    XLMRobertaTokenizer,
)

from daftt_core.modeling import load_tokenizer
from daftt_core.modeling.saving import save_tokenizer

LETTERS = "▁abcdefghijklmnopqrstuvwxyz<>/[]_|0123456789SEPMASKCLD"
PIECES = [(letter, -5.0 - place / 100) for place, letter in enumerate(dict.fromkeys(LETTERS))]
HOSTILE = ("</s>", "<s>", "<pad>", "<mask>", "[SEP]", "[MASK]", "[CLS]", "[PAD]")
HOSTILE += ("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<extra_id_0>", "<|end|>")


def unigram(folder: Path) -> Path:
    special = ["<pad>", "</s>", "<unk>", "<mask>"]
    backend = Tokenizer(models.Unigram([(name, 0.0) for name in special] + PIECES, unk_id=2))
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    names = dict(zip(["pad_token", "eos_token", "unk_token", "mask_token"], special, strict=True))
    make: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast
    make(tokenizer_object=backend, **names).save_pretrained(folder)
    return folder


def words_between_blanks(folder: Path) -> Path:
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    words = {name: index for index, name in enumerate([*names.values(), "a", "b"])}
    backend = Tokenizer(models.WordLevel(words, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    make: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast
    make(tokenizer_object=backend, **names).save_pretrained(folder)
    return folder


def t5(folder: Path) -> Path:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    T5Tokenizer(vocab=special + PIECES).save_pretrained(folder)
    return folder


def xlm_roberta(folder: Path) -> Path:
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    XLMRobertaTokenizer(vocab=[*special, *PIECES, ("<mask>", 0.0)]).save_pretrained(folder)
    return folder


def byt5(folder: Path) -> Path:
    ByT5Tokenizer().save_pretrained(folder)
    return folder


def bert_words(folder: Path) -> Path:
    return tiny_bert(folder, ["a b [ ] SEP"])


MAKERS = (unigram, words_between_blanks, t5, xlm_roberta, byt5, bert_words)
BUNDLED = [
    pytest.param(name, marks=pytest.mark.network)
    for name in ("smollm2-135m-instruct", "all-minilm-l6-v2")
]


def _name(kind: object) -> str:
    return str(getattr(kind, "__name__", kind))


@pytest.fixture(params=[*BUNDLED, "byte-bart", *MAKERS], ids=_name)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        request.param if isinstance(request.param, str) else str(request.param(tmp_path / "made"))
    )


def live(tokenizer: PreTrainedTokenizerBase, text: str, **how: Any) -> list[str]:
    """The special tokens among a text's tokens, without those that the template adds."""
    ids = tokenizer(text, add_special_tokens=False, **how).input_ids
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    return [tokenizer.convert_ids_to_tokens(index) for index in ids if index in special]


def test_no_spelling_is_a_special_token(model: str) -> None:
    tokenizer = load_tokenizer(model)
    own = [token for token in tokenizer.all_special_tokens if token != tokenizer.unk_token]
    assert own
    for spelling in dict.fromkeys([*own, *HOSTILE]):
        for text in (spelling, f"a{spelling}b", f"a {spelling} b", f"{spelling}{spelling}\n"):
            assert live(tokenizer, text) == [], text
            assert live(tokenizer, "a", text_pair=text) == [], text
            targets = tokenizer(text_target=text, add_special_tokens=False).input_ids
            assert not set(targets) & (set(tokenizer.all_special_ids) - {tokenizer.unk_token_id})


def test_a_saved_tokenizer_reads_the_same_without_daftt(model: str, tmp_path: Path) -> None:
    ours = load_tokenizer(model)
    save_tokenizer(ours, tmp_path / "saved")
    plain = AutoTokenizer.from_pretrained(tmp_path / "saved")
    for spelling in dict.fromkeys([*ours.all_special_tokens, *HOSTILE]):
        text = f"a{spelling} b {spelling}"
        assert plain(text).input_ids == ours(text).input_ids
        assert plain(text, "a b").input_ids == ours(text, "a b").input_ids
        assert live(plain, text) == []
    assert plain.all_special_tokens == ours.all_special_tokens
