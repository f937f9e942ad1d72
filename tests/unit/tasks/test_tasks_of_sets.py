"""Sets of labels: one spelling in every file, read from lists and texts, asked about one by one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from daftt_core.data.files import look_at, read_file, try_reading
from daftt_core.data.locate import DataFile
from daftt_core.errors import DataError, TaskError
from daftt_core.records import Example
from daftt_core.tasks import Task, answer_prompts, load_task, parse_task, writing_prompt

FIELDS: dict[str, Any] = {
    "id": "tickets",
    "kind": "multilabel",
    "description": "What a ticket is about.",
    "definition": "Say what this ticket is about.",
    "writing_definition": "Write a ticket about this.",
    "labels": [
        {"name": "billing", "verbalizer": "the bill", "aliases": ["1"]},
        {"name": "refund", "verbalizer": "money back"},
        {"name": "login", "verbalizer": "logging in"},
    ],
    "columns": {"text": "body", "output": "topics"},
}
TASK = Task.model_validate(FIELDS)


def task_with(**fields: Any) -> Task:
    return parse_task("tickets", json.dumps(FIELDS | fields))


@pytest.mark.parametrize(
    ("labels", "output"),
    [
        (["refund", "billing"], "billing; refund"),  # in the task's order
        (["login"], "login"),
        ([], "none"),
    ],
)
def test_a_set_has_one_spelling_and_is_read_from_it(labels: list[str], output: str) -> None:
    assert TASK.output_of(labels) == output
    assert sorted(TASK.labels_of(output)) == sorted(labels)
    assert TASK.allows(output)


@pytest.mark.parametrize("output", ["refund; billing", "billing;refund", "", "bill", "none; login"])
def test_another_spelling_is_no_output(output: str) -> None:
    assert not TASK.allows(output)


@pytest.mark.parametrize(
    ("cell", "output"),
    [
        ('["refund", "1"]', "billing; refund"),
        (["refund", 1], "billing; refund"),
        ([], "none"),
        ("[]", "none"),
        ("none", "none"),
        ("login;  billing ;login", "billing; login"),
        (" login ", "login"),
    ],
)
def test_a_file_holds_lists_or_texts(tmp_path: Path, cell: object, output: str) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text(json.dumps({"body": "a text", "topics": cell}) + "\n")
    assert TASK.output_of(read(path)) == output


def read(path: Path) -> list[str]:
    """The labels of the only row of a file, as its run reads them."""
    file = DataFile(str(path), path)
    [row] = read_file(file, TASK, "data_train", Counter(), with_output=True, strict=True)
    return TASK.labels_of(row.example.output or "")


def test_another_separator_is_named_in_the_task(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text('body,topics\na text,"login, refund"\n')
    try_reading(path, task_with(columns={**FIELDS["columns"], "separator": ","}))
    with pytest.raises(DataError, match="the label 'login, refund' is not known"):
        try_reading(path, TASK)


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (["refund", "logn"], "line 2: the label 'logn' is not known; did you mean 'login'?"),
        ("None", "the label 'None' is not known"),  # a program's missing value is no empty set
        (";", "the label ';' is not known"),
        ([["login"]], "the label '[\"login\"]' is not known"),
        ({"login": True}, "'topics' must be text, not {\"login\": true}"),
    ],
)
def test_what_is_no_set_is_named_with_its_line(tmp_path: Path, cell: object, sentence: str) -> None:
    path = tmp_path / "tickets.jsonl"
    rows = [{"body": "first", "topics": "login"}, {"body": "second", "topics": cell}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError) as raised:
        try_reading(path, TASK)
    assert sentence in str(raised.value)
    assert f"{path}, line 2" in str(raised.value)


def test_lists_of_a_columnar_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tickets.parquet"
    table = pa.table({"body": ["a text"], "topics": [["login", "billing"]]})
    pyarrow.parquet.write_table(table, path)
    assert read(path) == ["billing", "login"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"labels": FIELDS["labels"][:1]}, "a multilabel task needs at least two labels"),
        (
            {"labels": [*FIELDS["labels"], {"name": "a;b", "verbalizer": "ab"}]},
            "'a;b' holds ';', which stands between labels",
        ),
        (
            {"labels": [*FIELDS["labels"], {"name": "other", "verbalizer": "None."}]},
            "'None.' is kept for inputs that none of the labels applies to",
        ),
        (
            {"columns": {"separator": "l"}},
            "separator: 'l' is part of the label 'billing'",
        ),
        ({"columns": {"separator": " "}}, "must hold more than white space"),
        (
            {"positive_examples": [{"input": "x", "output": "login; bill"}]},
            "example 1: the output 'bill' is no label",
        ),
        ({"metric": "accuracy"}, "a multilabel task cannot be compared by 'accuracy'"),
    ],
)
def test_a_task_that_cannot_work_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TaskError) as raised:
        task_with(**fields)
    assert sentence in str(raised.value)


def test_the_teacher_is_asked_about_each_label_by_its_verbalizer() -> None:
    task = task_with(positive_examples=[{"input": "give it back", "output": "refund; 1"}])
    prompts = answer_prompts(task, Example.of("a text", output="billing; login"))
    assert [prompt.answer for prompt in prompts] == [" yes", " no", " yes"]
    assert len({prompt.prefix + prompt.body for prompt in prompts}) == 1
    assert str(prompts[1]).endswith('Input: a text\nDoes the label "money back" apply?\nOutput: no')
    assert "Input: give it back\nOutput: the bill; money back\n" in str(prompts[0])
    asked = writing_prompt(task, Example.of("a text", output="none"))
    assert str(asked).endswith("Input: none\nOutput: a text")


def test_the_probability_of_a_set_is_that_of_all_its_decisions() -> None:
    distribution = {"billing": 0.9, "refund": 0.2, "login": 0.5}
    assert TASK.probability_of("billing", distribution) == pytest.approx(0.9 * 0.8 * 0.5)
    assert TASK.probability_of("none", distribution) == pytest.approx(0.1 * 0.8 * 0.5)
    single = load_task("movie-reviews")
    assert single.probability_of("positive", {"negative": 0.3, "positive": 0.7}) == 0.7


def test_a_preview_of_a_file_shows_lists_as_json(tmp_path: Path) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text(json.dumps({"body": "a text", "topics": ["login"]}) + "\n")
    assert look_at(path)["topics"] == ['["login"]']
