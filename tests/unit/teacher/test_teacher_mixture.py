"""What the teacher makes of the mixture: prompts that fit, and a training on both."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_gpt_neox
from toy_run import toy_config
from toy_task import vocabulary

from daftt_core.config import Config
from daftt_core.data import prepare, prepare_mixture
from daftt_core.modeling import load_causal_lm
from daftt_core.preflight import resolve
from daftt_core.tasks import Prompt
from daftt_core.teacher import train
from daftt_core.teacher.examples import IGNORED, mixture_prompts, training_set
from daftt_core.workspace import Run

COLORS = ("red", "blue", "green", "black", "white", "brown")
THINGS = ("door", "coat", "boat", "lamp", "cup")
WORDS = [
    "Definition: Name the colour of a thing.\n\nPositive Example 1 -\nInput: the sky\nOutput: grey",
    "\n\nNow complete the following example -\nInput:",
    *(f"a {color} {thing}" for color in COLORS for thing in THINGS),
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def config_with_colors(folder: Path, long: Iterable[str] = (), **settings: object) -> Config:
    """A toy run with a mixture of one task, which asks for colours."""
    (folder / "sni").mkdir()
    task: dict[str, Any] = {
        "Definition": ["Name the colour of a thing."],
        "Positive Examples": [
            {"input": "the sky", "output": "grey"},
            {"input": "the grey " * 30, "output": "grey"},
        ],
        "Instances": [
            {"input": f"a {color} {thing}", "output": [color]}
            for color in COLORS
            for thing in THINGS
        ]
        + [{"input": text, "output": ["red"]} for text in long],
    }
    (folder / "sni" / "colors.json").write_text(json.dumps(task))
    mixture = {"mixture_source": str(folder / "sni"), "mixture_tasks": 1, "mixture_share": 0.6}
    config = toy_config(folder, **(mixture | settings))
    tiny_gpt_neox(folder / "teacher", vocabulary() + WORDS)
    return config


def prepared(config: Config) -> tuple[Run, str, str]:
    run = resolve(config)
    data = prepare(run, config.data).digest
    mixture = prepare_mixture(run, config.mixture, data, directions=2)
    return run, data, mixture.digest if mixture else ""


def prompts(config: Config, max_length: int = 64) -> list[Prompt]:
    run, _, mixture = prepared(config)
    _, tokenizer = load_causal_lm(config.teacher.model)
    return mixture_prompts(run, mixture, tokenizer, max_length)


def test_an_instance_is_asked_as_the_target_is(tmp_path: Path) -> None:
    found = {str(prompt) for prompt in prompts(config_with_colors(tmp_path))}
    assert "Definition: Name the colour of a thing.\n\nInput: a red door\nOutput: red" in found
    assert len(found) == 30


def test_solved_examples_come_first_as_far_as_they_fit(tmp_path: Path) -> None:
    config = config_with_colors(tmp_path, mixture_positive_examples=2)
    expected = (
        "Definition: Name the colour of a thing.\n\nPositive Example 1 -\nInput: the sky\n"
        "Output: grey\n\nNow complete the following example -\nInput: a red door\nOutput: red"
    )
    found = [str(prompt) for prompt in prompts(config)]
    assert expected in found
    assert {text.count("Positive Example") for text in found} == {1}, "the other is too long"
    assert {str(p).count("Positive Example") for p in prompts(config, 256)} == {2}


def test_what_is_too_long_by_itself_is_left_out(tmp_path: Path) -> None:
    config = config_with_colors(tmp_path, long=["a red coat and a blue coat " * 20])
    assert len(prompts(config, 256)) == 31
    assert len(prompts(config, 64)) == 30
    assert prompts(config, 10) == []


def test_only_the_answers_of_the_mixture_carry_loss(tmp_path: Path) -> None:
    config = config_with_colors(tmp_path)
    run, _, mixture = prepared(config)
    _, tokenizer = load_causal_lm(config.teacher.model)
    beside = mixture_prompts(run, mixture, tokenizer, 64)
    learn = training_set(run.task, [], tokenizer, max_length=64, directions="both", mixture=beside)
    answers = {
        tokenizer.decode([token for token in row["labels"] if token != IGNORED])
        for row in learn.dataset
    }
    assert answers == {f" {color}<|end|>" for color in COLORS}


def test_a_training_learns_both_and_is_told_apart_from_one_without(tmp_path: Path) -> None:
    config = config_with_colors(tmp_path, teacher_epochs=2)
    run, data, mixture = prepared(config)
    mixed = train(run, config.teacher, data, mixture)
    assert mixed.summary["mixed_in"] == 30
    assert mixed.summary["examples"] == 64 + 30
    assert train(run, config.teacher, data, mixture) == mixed
    alone = train(run, config.teacher, data)
    assert alone.summary["mixed_in"] == 0
    assert alone.summary["examples"] == 64
    assert alone.digest != mixed.digest
