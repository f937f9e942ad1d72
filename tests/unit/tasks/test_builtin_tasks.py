"""The tasks that come with DAFTT, each on a small data set with the columns of the public one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builtin_data import COLUMNS, rows_of, write_splits

from daftt_core.config import from_flat
from daftt_core.data import prepare
from daftt_core.preflight import resolve
from daftt_core.records import Example, read_jsonl
from daftt_core.tasks import (
    TURN,
    Forms,
    answer_prompts,
    builtin_tasks,
    load_task,
    parse_answer,
    parse_input,
    writing_prompt,
)


def prepared(name: str, folder: Path, **settings: object) -> list[Example]:
    config = from_flat({"task": name, "output": str(folder), **settings})
    run = resolve(config)
    prepare(run, config.data)
    return read_jsonl(run.folder / "data" / "labelled.jsonl", Example)


@pytest.mark.parametrize("name", builtin_tasks())
def test_its_data_is_read_and_asked_about_in_both_directions(name: str, tmp_path: Path) -> None:
    task, rows = load_task(name), rows_of(name)
    assert [list(row) for row in rows] == [COLUMNS[name]] * 20
    examples = prepared(name, tmp_path, **write_splits(name, tmp_path), data_labelled_count=12)
    assert len(examples) == 12
    if task.labels:
        held = [set(task.labels_of(example.output or "")) for example in examples]
        assert set().union(*held) == set(task.label_names)
    asked = [prompt for example in examples for prompt in answer_prompts(task, example)]
    wanted = [writing_prompt(task, example) for example in examples]
    for prompts in (asked, wanted):
        assert len({prompt.prefix for prompt in prompts}) == 1
        assert (TURN in prompts[0].prefix) == bool(task.positive_examples)
    forms = Forms.of(task, examples)
    if task.is_multilabel:
        answers = [prompt.answer == " yes" for prompt in asked]
        assert answers == [label in each for each in held for label in task.label_names]
    else:
        for example, answer in zip(examples, asked, strict=True):
            assert parse_answer(task, answer.answer or "", forms.outputs) == example.output
    for example, text in zip(examples, wanted, strict=True):
        written = parse_input(task, text.answer or "", forms.inputs)
        assert written is not None
        assert written.id == example.id


@pytest.mark.parametrize("name", builtin_tasks())
def test_where_its_data_comes_from_is_said(name: str) -> None:
    task = load_task(name)
    assert task.license
    assert task.source or task.hub
    assert task.mixture_exclude


@pytest.mark.parametrize(("name", "test"), [("rte", "validation"), ("ag-news", "test")])
def test_the_split_with_known_labels_serves_as_test(name: str, test: str) -> None:
    hub = load_task(name).hub
    assert hub is not None
    assert (hub.splits.train, hub.splits.test) == ("train", test)


def test_rte_has_the_numbers_of_glue_and_not_those_of_super_naturalinstructions() -> None:
    task = load_task("rte")
    assert task.label_for("0") == "entailment"  # task 1344 writes 1 for entailment
    assert task.label_for("1") == "not_entailment"
    assert task.label_for("-1") is None  # GLUE's hidden labels
    assert "task1344" in task.mixture_exclude


def test_boolq_reads_truth_values() -> None:
    task = load_task("boolq")
    assert [task.label_for(json.dumps(value)) for value in (True, False)] == ["yes", "no"]
    assert [task.label_for(str(value)) for value in (True, False)] == ["yes", "no"]


def test_five_percent_of_rte_are_125_examples(tmp_path: Path) -> None:
    paths = write_splits("rte", tmp_path)
    rows = [
        {"sentence1": f"Made up text {n}.", "sentence2": "It was.", "label": n % 2, "idx": n}
        for n in range(2490)
    ]
    Path(paths["data_train"]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(prepared("rte", tmp_path, **paths, data_labelled_fraction=0.05)) == 125
