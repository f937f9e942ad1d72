"""Model folders small enough to build and train inside a test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
)

from daftt_core.modeling import be_quiet

__all__ = [
    "tiny_bart",
    "tiny_bert",
    "tiny_deberta",
    "tiny_gpt2",
    "tiny_gpt_neox",
    "tiny_llama",
    "tiny_modernbert",
    "tiny_roberta",
    "tiny_t5",
]


def tiny_bert(folder: Path, texts: Iterable[str]) -> Path:
    """An encoder (2 layers, 32 wide, 64 positions) that knows the words of ``texts``."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    tokenizer = _tokenizer(texts, special | {"sep_token": "[SEP]"}, "[CLS] $A [SEP]")
    tokenizer.model_max_length = 64
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _save(folder, BertModel, config, tokenizer)


def tiny_roberta(folder: Path, texts: Iterable[str]) -> Path:
    """An encoder whose first two positions no token can take."""
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    special |= {"cls_token": "<s>", "sep_token": "</s>"}
    tokenizer = _tokenizer(texts, special, "<s> $A </s>")
    tokenizer.model_max_length = 64
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _save(folder, RobertaModel, config, tokenizer)


def tiny_deberta(folder: Path, texts: Iterable[str]) -> Path:
    """An encoder with the relative positions of DeBERTa-v3."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    tokenizer = _tokenizer(texts, special | {"sep_token": "[SEP]"}, "[CLS] $A [SEP]")
    tokenizer.model_max_length = 64
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        relative_attention=True,
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _save(folder, DebertaV2Model, config, tokenizer)


def tiny_modernbert(folder: Path, texts: Iterable[str]) -> Path:
    """An encoder with rotary positions, and attention that is local in every other layer."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    tokenizer = _tokenizer(texts, special | {"sep_token": "[SEP]"}, "[CLS] $A [SEP]")
    tokenizer.model_max_length = 64
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        global_attn_every_n_layers=2,
        local_attention=16,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )
    return _save(folder, ModernBertModel, config, tokenizer)


def tiny_t5(folder: Path, texts: Iterable[str]) -> Path:
    """A sequence-to-sequence model (1 + 1 layers, 64 wide) with relative positions."""
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = _tokenizer(texts, special, "$A </s>")
    tokenizer.model_max_length = 64
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=1,
        num_heads=4,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return _save(folder, T5ForConditionalGeneration, config, tokenizer)


def tiny_bart(folder: Path, texts: Iterable[str]) -> Path:
    """A sequence-to-sequence model (1 + 1 layers, 64 wide) that knows the words of ``texts``."""
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = _tokenizer(texts, special, "<s> $A </s>")
    tokenizer.model_max_length = 64
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=64,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_position_embeddings=64,
        dropout=0.0,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
    )
    return _save(folder, BartForConditionalGeneration, config, tokenizer)


def tiny_gpt_neox(folder: Path, texts: Iterable[str]) -> Path:
    """A causal language model (2 layers, 64 wide, 256 positions) without a pad token.

    Its tokens are words with the space before them, so that decoding gives the text back.
    """
    tokenizer = _causal_tokenizer(texts)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=256,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _save(folder, GPTNeoXForCausalLM, config, tokenizer)


def tiny_llama(folder: Path, texts: Iterable[str], *, tied: bool = False) -> Path:
    """The same with Llama's layers; two query heads share a head of keys and values."""
    tokenizer = _causal_tokenizer(texts)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=128,
        max_position_embeddings=256,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=tied,
    )
    return _save(folder, LlamaForCausalLM, config, tokenizer)


def tiny_gpt2(folder: Path, texts: Iterable[str]) -> Path:
    """The same with GPT-2's layers; its positions are learned, so that padding could shift them."""
    tokenizer = _causal_tokenizer(texts)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=256,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _save(folder, GPT2LMHeadModel, config, tokenizer)


def _causal_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    tokenizer = _tokenizer(texts, {"eos_token": "<|end|>", "unk_token": "<|unknown|>"}, None)
    tokenizer.model_max_length = 256
    return tokenizer


def _tokenizer(
    texts: Iterable[str], special: dict[str, str], template: str | None
) -> PreTrainedTokenizerFast:
    splitter = (
        pre_tokenizers.Whitespace()
        if template
        else pre_tokenizers.Split(Regex(r" ?[A-Za-z0-9']+| ?[^\sA-Za-z0-9']|\s"), "isolated")
    )
    words = {piece for text in texts for piece, _ in splitter.pre_tokenize_str(text)}
    if not template:  # a word may come at the start of a line or after a space
        words = {
            form for word in words for form in (word, word.lstrip(" "), f" {word.lstrip(' ')}")
        }
    names = [*dict.fromkeys(special.values()), *sorted(words - {"", " "} - set(special.values()))]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, special["unk_token"]))
    tokenizer.pre_tokenizer = splitter
    if template:
        used = [(name, vocabulary[name]) for name in template.split() if name in vocabulary]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, pair=f"{template} $B {template.split()[-1]}", special_tokens=used
        )
    else:
        tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **special
    )


def _save(
    folder: Path,
    kind: type[PreTrainedModel],
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerFast,
) -> Path:
    be_quiet()
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
