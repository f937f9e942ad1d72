"""Texts of different lengths, written side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import tiny_llama
from toy_task import vocabulary

from daftt_core.engines.caches import prefix_cache
from daftt_core.engines.decoding import Sampling, Text, write_texts
from daftt_core.modeling import load_causal_lm

SLOTS, TEXTS = 8, 48


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its end mark is probable enough for texts of all lengths."""
    model, _ = load_causal_lm(tiny_llama(tmp_path_factory.mktemp("model"), vocabulary()))

    def end_sooner(*call: Any) -> Any:
        output = call[-1]
        output.logits[..., model.config.eos_token_id] += 1.5
        return output

    model.register_forward_hook(end_sooner)
    return model


def write(model: Any, slots: int, shapes: list[tuple[int, int]]) -> dict[int, list[int]]:
    def look(module: torch.nn.Module, args: tuple[()], given: dict[str, torch.Tensor]) -> None:
        shapes.append(tuple(given["input_ids"].shape))

    end = model.config.eos_token_id
    texts = [
        Text(n, [5 + n % 7, 9, 8][: 1 + n % 3], np.random.default_rng(n)) for n in range(TEXTS)
    ]
    with torch.inference_mode():
        prefix = prefix_cache(model, [3, 4, 5, 6])
        hook = model.register_forward_pre_hook(look, with_kwargs=True)
        written = list(write_texts(model, prefix, texts, slots, Sampling(1.0, 0.95, 60, end)))
        hook.remove()
    return {text.row: text.tokens for text in written}


def test_an_ended_text_makes_room_for_the_next(model: Any) -> None:
    shapes: list[tuple[int, int]] = []
    written = write(model, SLOTS, shapes)
    lengths = [len(written[row]) for row in range(TEXTS)]
    assert len(set(lengths)) > 10
    steps = [rows for rows, width in shapes if width == 1]
    batches = [lengths[at : at + SLOTS] for at in range(0, TEXTS, SLOTS)]
    assert len(steps) < 0.75 * sum(max(batch) for batch in batches)
    assert sum(steps) < 1.25 * (sum(lengths) - TEXTS)  # each text's first token costs no step


def test_texts_do_not_depend_on_how_many_are_written_side_by_side(model: Any) -> None:
    together = write(model, TEXTS, [])
    assert write(model, 3, []) == together
