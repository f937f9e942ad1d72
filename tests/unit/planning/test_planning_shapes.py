from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf

from daftt_core.errors import ConfigError
from daftt_core.planning.architectures import read_shape
from daftt_core.planning.shapes import find_model_config, known_models

_SMALL_LLAMA = {
    "vocab_size": 1000,
    "hidden_size": 96,
    "intermediate_size": 200,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
_REAL: dict[str, tuple[Any, Any]] = {
    "gpt_neox": (hf.AutoModelForCausalLM, hf.GPTNeoXConfig()),
    "gpt_neox, tied, no bias": (
        hf.AutoModelForCausalLM,
        hf.GPTNeoXConfig(tie_word_embeddings=True, attention_bias=False),
    ),
    "gpt2": (hf.AutoModelForCausalLM, hf.GPT2Config()),
    "llama": (hf.AutoModelForCausalLM, hf.LlamaConfig()),
    "llama, grouped, tied": (
        hf.AutoModelForCausalLM,
        hf.LlamaConfig(**_SMALL_LLAMA, tie_word_embeddings=True),
    ),
    "llama, biases, wide heads": (
        hf.AutoModelForCausalLM,
        hf.LlamaConfig(**_SMALL_LLAMA, attention_bias=True, mlp_bias=True, head_dim=32),
    ),
    "mistral": (hf.AutoModelForCausalLM, hf.MistralConfig()),
    "qwen2": (hf.AutoModelForCausalLM, hf.Qwen2Config(**_SMALL_LLAMA)),
    "qwen3": (hf.AutoModelForCausalLM, hf.Qwen3Config(**_SMALL_LLAMA)),
    "olmo2": (hf.AutoModelForCausalLM, hf.Olmo2Config(**_SMALL_LLAMA)),
    "bert": (hf.AutoModelForSequenceClassification, hf.BertConfig(num_labels=5)),
    "roberta": (
        hf.AutoModelForSequenceClassification,
        hf.RobertaConfig(num_labels=5, type_vocab_size=1, max_position_embeddings=514),
    ),
    "xlm-roberta": (hf.AutoModelForSequenceClassification, hf.XLMRobertaConfig(num_labels=5)),
    "distilbert": (hf.AutoModelForSequenceClassification, hf.DistilBertConfig(num_labels=5)),
    "bart": (hf.AutoModelForSeq2SeqLM, hf.BartConfig()),
    "t5": (hf.AutoModelForSeq2SeqLM, hf.T5Config()),
    "t5, gated, uneven": (
        hf.AutoModelForSeq2SeqLM,
        hf.T5Config(feed_forward_proj="gated-gelu", num_layers=3, num_decoder_layers=5),
    ),
}


def _on_meta(auto: Any, config: Any) -> Any:
    with torch.device("meta"):
        return auto.from_config(config)


@pytest.mark.parametrize("case", _REAL)
def test_the_count_is_that_of_the_real_model(case):
    auto, config = _REAL[case]
    real = sum(parameter.numel() for parameter in _on_meta(auto, config).parameters())
    assert read_shape(config.to_dict(), labels=5).parameters == real


@pytest.mark.parametrize("name", known_models())
def test_a_bundled_configuration_makes_the_model_transformers_makes(name):
    settings = find_model_config(name)
    config = hf.AutoConfig.for_model(**settings)
    shape = read_shape(settings)
    auto = {
        "causal": hf.AutoModelForCausalLM,
        "classifier": hf.AutoModelForSequenceClassification,
        "seq2seq": hf.AutoModelForSeq2SeqLM,
    }[shape.kind]
    real = sum(parameter.numel() for parameter in _on_meta(auto, config).parameters())
    assert shape.parameters == real


def test_the_20b_teacher_is_as_large_as_published():
    # Its model card counts 20,556,201,984. That is more by just what tensor parallelism 2 repeats:
    # in each of 44 layers two norms and the biases of two output products (6 widths), and the
    # last norm (2 widths).
    repeated = 44 * 6 * 6144 + 2 * 6144
    assert read_shape(find_model_config("gpt-neox-20b")).parameters == 20_556_201_984 - repeated


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft asks by a name that will go
def test_lora_adds_what_peft_adds():
    from peft import LoraConfig, get_peft_model

    for case in ("gpt_neox", "llama, biases, wide heads"):
        auto, config = _REAL[case]
        model = get_peft_model(_on_meta(auto, config), LoraConfig(r=8, target_modules="all-linear"))
        real = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert read_shape(config.to_dict()).lora_parameters(8) == real


def test_a_model_is_found_by_name_hub_id_and_path(tmp_path):
    by_name = find_model_config("gpt-neox-20b")
    assert find_model_config("EleutherAI/gpt-neox-20b") == by_name
    assert find_model_config("EleutherAI/gpt-neox-20b@main") == by_name
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "bert"}')
    assert find_model_config(str(tmp_path)) == find_model_config(str(path))
    assert find_model_config("someone/something") is None


def test_what_cannot_be_sized_is_said_in_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"model_type 'lama' is not .*did you mean 'llama'"):
        read_shape({"model_type": "lama"})
    with pytest.raises(ConfigError, match="bert model lacks a usable 'hidden_size'"):
        read_shape({"model_type": "bert"})
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match="it holds no JSON object"):
        find_model_config(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read as a model's configuration"):
        find_model_config(str(tmp_path))
