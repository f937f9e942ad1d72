"""Packing: the same loss and gradients as the examples alone, from fewer tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from daftt_core.teacher.examples import IGNORED
from daftt_core.teacher.packing import EXACT, pack, why_not_packed

_WORDS = 60


def tiny(model_type: str) -> PreTrainedModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        model_type,
        vocab_size=_WORDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=2048,
        **({} if model_type == "gpt_neox" else {"num_key_value_heads": 2, "head_dim": 8}),
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").train()


def example(shared: Sequence[int], rest: Sequence[int], answer: Sequence[int]) -> dict[str, Any]:
    return {
        "input_ids": [*shared, *rest, *answer],
        "labels": [IGNORED] * (len(shared) + len(rest)) + list(answer),
        "shared": len(shared),
    }


def some_examples(count: int = 9) -> list[dict[str, Any]]:
    """Two beginnings and an empty one, all lengths different."""
    beginnings = [[5, 6, 7, 8, 9], [5, 6, 11], []]
    return [
        example(
            beginnings[number % 3],
            [(7 * number + place) % _WORDS for place in range(3 + number)],
            [(3 * number + place) % _WORDS for place in range(1 + number % 4)],
        )
        for number in range(count)
    ]


def loss_alone(model: PreTrainedModel, examples: Sequence[dict[str, Any]]) -> torch.Tensor:
    """Mean over the answer tokens of all examples, each in a forward pass of its own."""
    losses = []
    for one in examples:
        logits = model(input_ids=torch.tensor([one["input_ids"]])).logits[0, :-1]
        labels = torch.tensor(one["labels"][1:])
        losses.append(cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none"))
    answers = sum(label != IGNORED for one in examples for label in one["labels"][1:])
    return torch.cat(losses).sum() / answers


def gradients(model: PreTrainedModel, loss: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize("model_type", EXACT)
def test_loss_and_gradients_are_those_of_the_examples_alone(model_type: str) -> None:
    model, examples = tiny(model_type), some_examples()
    packed = pack(examples, padding=0)
    assert packed["input_ids"].shape[0] == 1
    alone, together = loss_alone(model, examples), model(**packed).loss
    assert together.item() == pytest.approx(alone.item(), abs=1e-5)
    for one, other in zip(gradients(model, alone), gradients(model, together), strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model_type", ["gpt_neox", "llama"])
def test_several_rows_give_the_same_loss_too(
    model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daftt_core.teacher.packing._ROW_TOKENS", 24)
    model, examples = tiny(model_type), some_examples(20)
    packed = pack(examples, padding=0)
    assert packed["input_ids"].shape[0] > 3
    together = model(**packed).loss.item()
    assert together == pytest.approx(loss_alone(model, examples).item(), abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(1, 6),
            st.lists(st.integers(1, 9), min_size=1, max_size=9),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_answer_is_lost_and_each_token_sees_its_own_example_alone(
    drawn: list[tuple[int, int, list[int]]],
) -> None:
    examples = [
        example([20 + kind] * (4 * kind), [30 + number] * rest, answer)
        for number, (kind, rest, answer) in enumerate(drawn)
    ]
    packed = pack(examples, padding=0)
    wanted = sorted(token for _, _, answer in drawn for token in answer)
    assert sorted(packed["labels"].tolist()) == wanted
    seen = {
        tuple(packed["input_ids"][row][packed["attention_mask"][row, 0, place]].tolist())
        for row, place in packed["logits_to_keep"].nonzero().tolist()
    }
    alone = {
        tuple(one["input_ids"][: at + 1])
        for one in examples
        for at, label in enumerate(one["labels"][1:])
        if label != IGNORED
    }
    assert seen == alone


def test_a_shared_beginning_is_there_once() -> None:
    examples = [example(range(40), [50, number], [number]) for number in range(8)]
    packed = pack(examples, padding=0)
    assert packed["input_ids"].shape == (1, 40 + 8 * 3)
    assert packed["position_ids"].max() == 42


def test_models_for_which_it_is_not_known_to_be_exact_are_padded() -> None:
    llama = tiny("llama").config
    assert why_not_packed(llama, 512) is None
    assert "gpt2" in str(why_not_packed(AutoConfig.for_model("gpt2"), 512))
    narrow = AutoConfig.for_model("mistral", sliding_window=256, attn_implementation="sdpa")
    assert why_not_packed(narrow, 256) is None
    assert "sees 256 tokens back" in str(why_not_packed(narrow, 257))
    eager = AutoConfig.for_model("llama", attn_implementation="eager")
    assert "eager" in str(why_not_packed(eager, 512))
