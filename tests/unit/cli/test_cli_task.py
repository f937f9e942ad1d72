from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from daftt_core.cli import cli, main
from daftt_core.tasks import builtin_tasks, load_task

TICKETS = "body,urgency\n" + "The server is on fire,1\nA typo in the manual,0\n" * 3
HOSTILE = "\x1b[31mred\u202e"


@pytest.fixture
def tickets(tmp_path):
    path = tmp_path / "tickets.csv"
    path.write_text(TICKETS)
    return path


def test_built_in_tasks_are_listed_and_shown(capsys):
    assert main(["task", "show"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == builtin_tasks()
    assert main(["task", "show", "rte"]) == 0
    said = capsys.readouterr().out
    assert "path: nyu-mll/glue" in said
    assert "    Positive Example 2 -\n" in said
    assert main(["task", "show", "rte", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"][0]["aliases"] == ["0"]


def test_a_new_task_is_proposed_written_and_right(capsys, tmp_path, tickets):
    file = tmp_path / "My tickets.yaml"
    words = ["--label", "0=can wait", "--label", "1=urgent"]
    assert main(["task", "new", str(file), "--data", str(tickets), *words, "--yes"]) == 0
    task = load_task(str(file))
    assert (task.id, task.kind) == ("my-tickets", "classification")
    assert (task.columns.text, task.columns.output) == ("body", "urgency")
    assert [(label.name, label.aliases) for label in task.labels] == [
        ("can wait", ("0",)),
        ("urgent", ("1",)),
    ]
    capsys.readouterr()
    assert main(["task", "validate", str(file)]) == 0
    said = capsys.readouterr().out
    assert "    Input: <body>\n    Output: can wait\n" in said
    assert "    Input: can wait\n    Output: <body>\n" in said
    assert said.endswith("The task my-tickets, version 1, is right.\n")
    assert main(["task", "new", str(file), "--data", str(tickets), "--yes"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_what_is_answered_goes_into_the_file(tmp_path, tickets):
    file = tmp_path / "tickets.yaml"
    answers = ["", "", "", "", "later", "now", "Is it urgent?", "Decide: now or later.", "Write."]
    done = CliRunner().invoke(
        cli, ["task", "new", str(file), "--data", str(tickets)], input="\n".join(answers) + "\n"
    )
    assert done.exit_code == 0, done.output
    assert "Column of the input [body]" in done.output
    assert yaml.safe_load(file.read_text()) == {
        "id": "tickets",
        "kind": "classification",
        "columns": {"text": "body", "output": "urgency"},
        "labels": [
            {"name": "later", "verbalizer": "later", "aliases": ["0"]},
            {"name": "now", "verbalizer": "now", "aliases": ["1"]},
        ],
        "description": "Is it urgent?",
        "definition": "Decide: now or later.",
        "writing_definition": "Write.",
    }


def test_spellings_that_differ_in_case_are_one_label_and_words_are_not_asked_about(tmp_path):
    data, file = tmp_path / "my tickets.csv", tmp_path / "tickets.yaml"
    rows = [f"Message number {n};{queue}" for n, queue in enumerate(["Billing", "Lost"] * 9)]
    data.write_text("\n".join(["said;queue", *rows, "Where is it?;lost", "?;BILLING", "!;billing"]))
    done = CliRunner().invoke(
        cli, ["task", "new", str(file), "--data", str(data)], input="\n" * 7, catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    assert yaml.safe_load(file.read_text())["labels"] == [
        {"name": "Billing", "verbalizer": "Billing", "aliases": ["BILLING", "billing"]},
        {"name": "Lost", "verbalizer": "Lost", "aliases": ["lost"]},
    ]
    assert "What does the label" not in done.output
    assert f"  daftt run --task {file} --data-train '{data}'\n" in done.output


def test_a_wrong_answer_is_asked_for_again(tmp_path, tickets):
    file = tmp_path / "tickets.yaml"
    columns = ["bodi", "body", "", "body", "urgency"]
    answers = [*columns, "classif", "classification", "later", "Later.", "now", "a", "b", "c"]
    done = CliRunner().invoke(
        cli, ["task", "new", str(file), "--data", str(tickets)], input="\n".join(answers) + "\n"
    )
    assert done.exit_code == 0, done.output
    for problem in (
        "there is no column 'bodi'; did you mean 'body'?",
        "the column 'body' serves as another one already",
        "not 'classif'; did you mean 'classification'?",
        "'Later.' is another label's meaning already",
    ):
        assert f"Error: {problem}" in done.output or problem in done.output
    assert load_task(str(file)).label_names == ["later", "now"]


def test_spellings_that_an_answer_could_not_tell_apart_are_one_label(tmp_path):
    data, file = tmp_path / "a.csv", tmp_path / "t.yaml"
    kinds = ["book_table", "book table", "Book table.", "play_music"]
    data.write_text("text,kind\n" + "".join(f"Text {n},{kinds[n % 4]}\n" for n in range(24)))
    assert main(["task", "new", str(file), "--data", str(data), "--yes"]) == 0
    assert [(label.name, label.aliases) for label in load_task(str(file)).labels] == [
        ("Book table.", ("book table", "book_table")),
        ("play music", ("play_music",)),
    ]


@pytest.mark.parametrize("outputs", ["neg", ""])
def test_a_column_with_nothing_to_learn_is_refused(capsys, tmp_path, outputs):
    data, file = tmp_path / "a.csv", tmp_path / "t.yaml"
    data.write_text("text,label\n" + "".join(f"Text {n},{outputs}\n" for n in range(9)))
    assert main(["task", "new", str(file), "--data", str(data), "--yes"]) == 3
    assert "there is nothing to learn" in capsys.readouterr().err
    assert not file.exists()


def test_labels_are_found_in_a_file_that_is_sorted_by_them(tmp_path):
    data, file = tmp_path / "a.csv", tmp_path / "t.yaml"
    rows = [f"Text {n},{kind}\n" for kind in ("one", "two", "three") for n in range(3000)]
    data.write_text("text,label\n" + "".join(rows))
    assert main(["task", "new", str(file), "--data", str(data), "--yes"]) == 0
    assert sorted(load_task(str(file)).label_names) == ["one", "three", "two"]


@pytest.mark.parametrize("name", ["tickets.csv/t.yaml", f"{'x' * 300}.yaml"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(
    capsys, tmp_path, tickets, name
):
    assert main(["task", "new", str(tmp_path / name), "--data", str(tickets)]) == 5
    assert "cannot be written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["tickets.csv"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--text", "bodi"], 3, "there is no column 'bodi'; did you mean 'body'?"),
        (["--output", "body", "--text", "body"], 3, "'body' serves as another one already"),
        (["--definition", " "], 2, "must hold more than white space"),
        (["--label", "2=x"], 3, "the output column does not hold '2'"),
        (["--label", "x"], 2, "'x' must be VALUE=WORDS"),
        (["--kind", "text2text", "--label", "0=x"], 2, "a text2text task has no labels"),
        (["--label", "0=a", "--label", "1=A"], 2, "'a' and 'A' share the verbalizer 'A'"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(capsys, tmp_path, tickets, words, code, sentence):
    file = tmp_path / "t.yaml"
    assert main(["task", "new", str(file), "--data", str(tickets), "--yes", *words]) == code
    assert sentence in capsys.readouterr().err
    assert not file.exists()


def test_all_mistakes_of_a_file_are_told_in_harmless_words(capsys, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(f'id: X\nkind: sorting\n"{HOSTILE!r}": 1\n'.replace("'", ""))
    assert main(["task", "validate", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.count("error: task") == 6  # three of them are missing fields
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_hostile_data_stays_text(capsys, tmp_path):
    data, file = tmp_path / "a.jsonl", tmp_path / "t.yaml"
    rows = [
        {f"in: {HOSTILE}": "x: [y] # z" * 3, "label": label}
        for label in ("!!python/object:os.system", f"&a *b {HOSTILE}") * 2
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(cli, ["task", "new", str(file), "--data", str(data)], input="\n" * 20)
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output + file.read_text()
    assert "\u202e" not in done.output + file.read_text()
    task = load_task(str(file))
    assert task.columns.text == f"in: {HOSTILE}"
    assert task.label_names == ["!!python/object:os.system", f"&a *b {HOSTILE}"]
    assert main(["task", "show", str(file)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_tokens_are_counted_as_a_model_does(capsys, tmp_path):
    pytest.importorskip("transformers")
    from tiny_models import tiny_gpt_neox

    folder = tiny_gpt_neox(tmp_path / "model", ["Definition: Input: Output:\n"])
    assert main(["task", "validate", "rte", "--tokenizer", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said.count("of them the same for every example") == 2
    assert main(["task", "validate", "rte", "--tokenizer", str(tmp_path)]) == 4
