"""Outputs of several lines: learned whole, and where a student cannot write them that is said."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from student_examples import commit_examples, reversal_task
from tiny_models import tiny_gpt2, tiny_t5

from daftt_core.config import StudentConfig
from daftt_core.records import Example, Prediction, read_jsonl
from daftt_core.student import train_arm
from daftt_core.workspace import Run

LINES = "apple\nbread\n\napple"


def learn(folder: Path, model: Path, output: str) -> list[str]:
    run = Run(uri=str(folder / "run"), seed=5, task=reversal_task())
    examples = [Example.of("apple", output=output)]
    data = commit_examples(run, "data", {"labelled": examples, "dev": examples})
    config = StudentConfig(
        model=str(model),
        seeds=1,
        min_steps=40,
        learning_rate=3e-3,
        batch_size=1,
        max_length=16,
        max_target_length=16,
        weight_decay=0.0,
    )
    train_arm(run, config, "real", data.digest)
    folder = run.folder / "students" / "real"
    return [one.output for one in read_jsonl(folder / "dev-predictions.jsonl", Prediction)]


def test_a_causal_student_writes_all_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_gpt2(tmp_path / "gpt2", ["apple bread\nOutput:"])
    with caplog.at_level(logging.WARNING, "daftt"):
        assert learn(tmp_path, model, LINES) == [LINES]
    assert "several lines" not in caplog.text


def test_a_tokenizer_without_line_breaks_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_t5(tmp_path / "t5", ["apple bread"])
    with caplog.at_level(logging.WARNING, "daftt"):
        assert learn(tmp_path, model, LINES) != [LINES]
    assert (
        "1 of 1 outputs have several lines, and the student will write them in one" in caplog.text
    )
    assert str(model) in caplog.text
