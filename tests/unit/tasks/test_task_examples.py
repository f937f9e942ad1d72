"""Examples of a task's own: in its prompts, and what its file may say of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from daftt_core.errors import TaskError
from daftt_core.records import Example
from daftt_core.tasks import FIELD_NAME, Task, answer_prompt, load_task, parse_task, writing_prompt

FIELDS = {
    "id": "entailment",
    "kind": "classification",
    "description": "Does the first sentence imply the second?",
    "definition": "Decide.",
    "writing_definition": "Write two sentences.",
    "labels": [
        {"name": "entailment", "verbalizer": "yes", "aliases": ["0"]},
        {"name": "not_entailment", "verbalizer": "no", "aliases": ["1"]},
    ],
    "columns": {"text": "premise", "text_pair": "hypothesis"},
}
OWN = {
    "positive_examples": [
        {"input": "It rains.\nIt is  wet.", "output": "0", "explanation": "Rain\nis wet."},
        {"input": "It rains.\nIt snows.", "output": "not_entailment"},
    ],
    "negative_examples": [{"input": "It is hot.\nIt snows.", "output": "entailment"}],
}
BARE = Task.model_validate(FIELDS)
RICH = Task.model_validate(FIELDS | OWN)
ONE = Example.of("A dog barks.", "A dog is loud.", output="entailment")
SHOWN = Example.of("A cat sleeps.", "A cat rests.", output="entailment")


def test_prompts_of_a_task_without_examples_are_what_they_were() -> None:
    assert str(answer_prompt(BARE, ONE)) == (
        "Definition: Decide.\n\nInput: A dog barks.\nA dog is loud.\nOutput: yes"
    )
    assert str(writing_prompt(BARE, ONE)) == (
        "Definition: Write two sentences.\n\nInput: yes\nOutput: A dog barks.\nA dog is loud."
    )
    assert str(writing_prompt(BARE, None, "entailment", [SHOWN])) == (
        "Definition: Write two sentences.\n\n"
        "Positive Example 1 -\nInput: yes\nOutput: A cat sleeps.\nA cat rests.\n\n"
        "Now complete the following example -\nInput: yes\nOutput:"
    )


def test_whoever_is_asked_for_an_output_sees_all_examples() -> None:
    prompt = answer_prompt(RICH, ONE)
    assert prompt.prefix == (
        "Definition: Decide.\n\n"
        "Positive Example 1 -\nInput: It rains.\nIt is wet.\nOutput: yes\n"
        "Explanation: Rain is wet.\n\n"
        "Positive Example 2 -\nInput: It rains.\nIt snows.\nOutput: no\n\n"
        "Negative Example 1 -\nInput: It is hot.\nIt snows.\nOutput: yes\n\n"
        "Now complete the following example -\nInput:"
    )
    assert str(prompt) == f"{prompt.prefix} A dog barks.\nA dog is loud.\nOutput: yes"


def test_whoever_is_asked_for_an_input_sees_the_right_ones_turned_round() -> None:
    own = (
        "Definition: Write two sentences.\n\n"
        "Positive Example 1 -\nInput: yes\nOutput: It rains.\nIt is wet.\n\n"
        "Positive Example 2 -\nInput: no\nOutput: It rains.\nIt snows."
    )
    end = "\n\nNow complete the following example -\nInput: yes\nOutput:"
    assert writing_prompt(RICH, ONE).asking(0) == own + end
    asked = writing_prompt(RICH, None, "entailment", [SHOWN])
    third = "\n\nPositive Example 3 -\nInput: yes\nOutput: A cat sleeps.\nA cat rests."
    assert asked.prefix == own
    assert asked.asking(1) == own + third + end
    assert asked.asking(0) == own + end  # too long: the own examples stay


def test_a_text_that_would_begin_an_example_is_known() -> None:
    assert FIELD_NAME.search("Fine.\nNegative Example 2 -")


@pytest.mark.parametrize("field", ["positive_examples", "negative_examples"])
def test_every_wrong_example_is_told_at_once(field: str) -> None:
    wrong = [
        {"input": "One line.", "output": "yes"},
        {"input": "Two.\nLines.", "output": "entailmant"},
    ]
    text = yaml.safe_dump(FIELDS | {field: wrong, "metric": "rougeL", "version": 0})
    with pytest.raises(TaskError) as caught:
        parse_task("t", text)
    assert str(caught.value).splitlines() == [
        "task t: version: 0 should be greater than or equal to 1",
        f"task t: {field}: example 1: the output 'yes' is no label "
        "(allowed: entailment, 0, not_entailment, 1)",
        f"task t: {field}: example 1: the input must be two lines, one for 'premise' and one for "
        "'hypothesis', not 1",
        f"task t: {field}: example 2: the output 'entailmant' is no label; did you mean "
        "'entailment'? (allowed: entailment, 0, not_entailment, 1)",
        "task t: metric: a classification task cannot be compared by 'rougeL' (allowed: accuracy)",
    ]


def test_a_metric_can_be_chosen() -> None:
    fields = {name: FIELDS[name] for name in FIELDS if name not in ("labels", "columns")}
    task = Task.model_validate(fields | {"kind": "text2text", "metric": "exact_match"})
    assert task.primary_metric == "exact_match"
    assert (RICH.primary_metric, load_task("samsum").primary_metric) == ("accuracy", "rougeL")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("labels: [{name: yes, verbalizer: sure}]", "labels.0.name: .* put it in quotes"),
        ("description: 2020-01-01", "description: .* put it in quotes"),
        ("kind: text2text\nkind: classification", "is not YAML: 'kind' occurs twice"),
        ("columns: {text: '', output: o}", "columns.text: must name a column"),
        ("columns: {text_pair: ''}", "columns.text_pair: must name a column; leave text_pair out"),
        ("columns: {text: a, output: a}", "columns.output: the column 'a' serves as another one"),
        ("columns: {text: a, text_pair: a}", "columns.text_pair: the column 'a' serves"),
        ("labels: [{name: a, verbaliser: b}]", "verbaliser: .*; did you mean 'verbalizer'"),
        ("definition: ' '", "definition: must hold more than white space"),
        ("version: true", "version: True should be an integer"),
        (f"id: {'x' * 65}", "id: 'xxx.*should have at most 64 characters"),
        ("description: 2020-99-99", "is not YAML: month must be"),
        ("description: " + "[" * 5000, "is not YAML"),
        ("hub: {path: ../x}", "hub.path: '../x' should match"),
        ("hub: {path: a/b, splits: {train: x, test: x}}", "test must be apart"),
        ("- a", "the file: must hold names with values"),
    ],
)
def test_what_yaml_makes_of_a_word_is_told(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=problem):
        parse_task("t", text)


def test_an_output_of_several_lines_is_shown_with_them() -> None:
    fields = {**FIELDS, "kind": "text2text", "labels": [], "columns": {}}
    own = [{"input": "a\nb", "output": " one\n  two\n\nthree\n"}]
    task = Task.model_validate(fields | {"positive_examples": own})
    assert "Input: a b\nOutput: one\n  two\n\nthree\n\n" in answer_prompt(task, SHOWN).prefix
    assert "Input:\nOutput: a\nb" in writing_prompt(task, None).prefix
