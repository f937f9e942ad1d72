"""The lines of Python that reports and cards give: they answer as the student was measured."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from student_examples import commit_examples, reversal_task
from tiny_models import tiny_bert, tiny_gpt2, tiny_t5

from daftt_core.config import StudentConfig
from daftt_core.records import Example, Prediction, read_jsonl
from daftt_core.student import train_arm
from daftt_core.tasks import Task, load_task, prediction_code
from daftt_core.workspace import Run

WORDS = ["A text . bread apple positive negative first second"]


def trained(folder: Path, task: Task, model: Path, dev: Example) -> tuple[Path, Prediction]:
    """Train a student; its folder, and its answer to the dev example."""
    run = Run(uri=str(folder / "run"), seed=5, task=task)
    other = Example.of("bread", dev.text_pair and "apple", output=OTHERS[task.kind])
    data = commit_examples(run, "data", {"labelled": [dev, other], "dev": [dev]})
    config = StudentConfig(
        model=str(model),
        seeds=1,
        min_steps=60,
        learning_rate=3e-3,
        batch_size=2,
        max_length=16,
        max_target_length=8,
    )
    train_arm(run, config, "real", data.digest)
    students = run.folder / "students" / "real"
    [answer] = read_jsonl(students / "dev-predictions.jsonl", Prediction)
    return students / "seed-0", answer


OTHERS = {"classification": "negative", "text2text": "apple bread"}


def printed(code: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the code as a program; the value that it prints."""
    program = folder / "answer.py"
    program.write_text(code, encoding="utf-8")
    capsys.readouterr()
    runpy.run_path(str(program))
    return ast.literal_eval(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("pair", [False, True])
def test_a_classifier_gives_the_same_label_and_probability(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pair: bool
) -> None:
    task = load_task("rte") if pair else load_task("movie-reviews")
    first, second = ("A first text.", "A second text.") if pair else ("A text.", None)
    dev = Example.of(first, second, output=task.label_names[0])
    model = tiny_bert(tmp_path / "bert", [first, second or "", *WORDS])
    OTHERS["classification"] = task.label_names[1]
    folder, measured = trained(tmp_path, task, model, dev)
    code = prediction_code(task, str(folder), causal=False, max_length=16, max_target_length=8)
    assert code.count("\n") == 2
    [answer] = [printed(code, tmp_path, capsys)] if pair else printed(code, tmp_path, capsys)
    assert answer["label"] == measured.output
    assert answer["score"] == pytest.approx(measured.distribution[measured.output], abs=1e-4)


@pytest.mark.parametrize(("make", "causal"), [(tiny_t5, False), (tiny_gpt2, True)])
def test_a_writer_writes_the_same_text(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[..., Path],
    causal: bool,
) -> None:
    task = reversal_task()
    model = make(tmp_path / "model", ["A text.\nOutput: bread apple", *WORDS])
    folder, measured = trained(tmp_path, task, model, Example.of("A text.", output="bread apple"))
    code = prediction_code(task, str(folder), causal=causal, max_length=16, max_target_length=8)
    [answer] = printed(code, tmp_path, capsys)
    written = answer["generated_text"] if causal else answer
    assert written.strip() == measured.output
    assert measured.output


def test_a_strange_folder_stays_a_string() -> None:
    task = load_task("movie-reviews")
    folder = "it's \"\n\\ \U0001f600"
    code = prediction_code(task, folder, causal=False, max_length=16, max_target_length=8)
    call = ast.parse(code).body[1]
    assert isinstance(call, ast.Assign)
    assert isinstance(call.value, ast.Call)
    assert ast.literal_eval(call.value.keywords[0].value) == folder
