from __future__ import annotations

import csv
import json

import pytest
import yaml
from click.testing import CliRunner

from daftt_core.cli.app import cli, main
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
    assert "already exists" in capsys.readouterr().err


def test_more_labels_than_a_task_may_have_are_refused(capsys, tmp_path):
    data = tmp_path / "topics.csv"
    rows = [f"text {row} of many,topic {row % 3000}" for row in range(30_000)]
    data.write_text("\n".join(["text,label", *rows]) + "\n")
    assert main(["task", "new", str(tmp_path / "topics.yaml"), "--data", str(data), "--yes"]) == 3
    assert capsys.readouterr().err == (
        "error: the column 'label' holds 3,000 labels; a task has at most 1,000: join rare ones, "
        "or divide the task (--kind text2text is for texts)\n"
    )


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
        "'Later.' is already another label's meaning",
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


def rows_of(tmp_path, *labels, name="a.csv"):
    """A file of 60 rows with these labels in turn."""
    path = tmp_path / name
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows([f"Text number {n}", labels[n % len(labels)]] for n in range(60))
    return path


def new(tmp_path, data, *words):
    """Write a task's file and read it as a run does; None where none is written."""
    file = tmp_path / "t.yaml"
    code = main(["task", "new", str(file), "--data", str(data), *words, "--yes"])
    assert file.exists() == (code == 0)
    return load_task(str(file)) if code == 0 else None


@pytest.mark.parametrize(
    ("spellings", "label"),
    [
        (("urgent", "urgent\u200b"), "urgent"),
        (("caf\u00e9", "cafe\u0301"), "caf\u00e9"),
        (("very good", "very\u00a0good", "very\ngood"), "very good"),
    ],
)
def test_spellings_that_look_alike_are_one_label_in_the_file_and_in_a_run(
    tmp_path, spellings, label
):
    task = new(tmp_path, rows_of(tmp_path, *spellings, "other"))
    assert task.label_names == sorted([label, "other"])
    assert [task.label_for(one) for one in spellings] == [label] * len(spellings)


def test_labels_that_differ_in_case_are_one_and_that_is_told_or_two_by_their_words(
    capsys, tmp_path
):
    data = rows_of(tmp_path, "US", "us", "UK")
    assert new(tmp_path, data).label_names == ["UK", "US"]
    assert "Spellings of one label: 'US' = 'us'. Case," in capsys.readouterr().out
    (tmp_path / "t.yaml").unlink()
    task = new(tmp_path, data, "--label", "us=we")
    assert [(label.name, label.aliases) for label in task.labels] == [
        ("UK", ()),
        ("US", ()),
        ("we", ("us",)),
    ]
    assert "Spellings of one label" not in capsys.readouterr().out


def test_a_value_with_another_ones_words_becomes_its_alias(capsys, tmp_path):
    data = rows_of(tmp_path, "yes", "Y", "no")
    assert len(new(tmp_path, data).labels) == 3
    assert "'Y' and 'yes' are two labels; --label Y=yes makes them one." in capsys.readouterr().out
    (tmp_path / "t.yaml").unlink()
    task = new(tmp_path, data, "--label", "Y=yes")
    assert [(label.name, label.aliases) for label in task.labels] == [("yes", ("Y",)), ("no", ())]


def test_a_meaning_that_is_a_label_already_makes_them_one(tmp_path):
    data, file = rows_of(tmp_path, "yes", "Y", "no", "N"), tmp_path / "t.yaml"
    answers = ["", "", "", "", "no", "yes", "", "", ""]
    done = CliRunner().invoke(
        cli, ["task", "new", str(file), "--data", str(data)], input="\n".join(answers) + "\n"
    )
    assert done.exit_code == 0, done.output
    assert load_task(str(file)).label_names == ["no", "yes"]


@pytest.mark.parametrize(
    ("labels", "words", "sentence"),
    [
        (
            ["billing", "refund", "billing;refund"],
            ("--kind", "classification"),
            "holds several labels in one cell, such as 'billing;refund', in 20 of 60 rows",
        ),
        (["['a', 'b']", "['a']"], (), """holds "['a', 'b']", a list that is not JSON; write it"""),
        (["a b", "c d", "nan"], (), "holds 'nan' in 20 of 60 rows, as programs write a missing"),
        (["a b", "c d", "None"], (), "give --label 'None=WORDS' where it is a label"),
        (["good", "bad", "."], (), "holds '.', which cannot be said; give --label '.=WORDS'"),
        (["good", "Good."], (), "holds one label only, written 'Good.' and 'good'"),
        (["x" * 300, "y"], ("--kind", "classification"), "which has 300 characters; a label may"),
        ([str(n / 7) for n in range(60)], (), "of the column 'label' labels or texts? The data do"),
        (["a", "b"], ("--label", "a=x y", "--label", "a=z"), "'a' is called both 'x y' and 'z'"),
    ],
)
def test_what_can_be_no_label_is_told_in_one_sentence_and_nothing_is_written(
    capsys, tmp_path, labels, words, sentence
):
    assert new(tmp_path, rows_of(tmp_path, *labels), *words) is None
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("error:") == 1


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["billing", "refund", "billing;refund", "none"], ";"),
        (["billing", "refund", "refund | billing", "none"], "|"),
        (['["billing"]', '["refund", "billing"]', "[]"], ";"),
    ],
)
def test_cells_with_several_labels_make_a_task_of_sets(tmp_path, cells, separator):
    task = new(tmp_path, rows_of(tmp_path, *cells))
    assert (task.kind, task.columns.separator) == ("multilabel", separator)
    assert task.label_names == ["billing", "refund"]
    assert "which labels apply" in task.definition


def test_words_make_a_label_of_a_value_that_looks_like_none(tmp_path):
    data = rows_of(tmp_path, "billing", "refund", "billing;refund", "None")
    words = ["--label", "None=none of them", "--label", "billing;refund=both"]
    task = new(tmp_path, data, *words)
    assert task.label_names == ["none of them", "billing", "both", "refund"]
    assert task.label_for("billing;refund") == "both"


def test_where_data_do_not_say_which_column_is_the_output_a_person_does(capsys, tmp_path):
    data, file = tmp_path / "a.csv", tmp_path / "t.yaml"
    rows = [f"Text {n},{'yno'[n % 2]},{'uvw'[n % 3]}" for n in range(60)]
    data.write_text("\n".join(["text,resolved,spam", *rows]))
    assert new(tmp_path, data) is None
    assert capsys.readouterr().err == (
        "error: which column holds the label or text to be given, 'resolved' or 'spam'? "
        "The data do not say; give --output COLUMN\n"
    )
    answers = ["", "", "", "spam", "", "up", "vw", "w?", "", "", ""]
    done = CliRunner().invoke(
        cli, ["task", "new", str(file), "--data", str(data)], input="\n".join(answers) + "\n"
    )
    assert done.exit_code == 0, done.output
    assert "Column of the label or text to be given ('resolved' or 'spam'):" in done.output
    assert load_task(str(file)).columns.output == "spam"


def test_many_labels_are_labels_and_an_instruction_names_some(tmp_path):
    data = tmp_path / "a.csv"
    data.write_text("text,intent\n" + "".join(f"Text {n},do {n % 77}\n" for n in range(770)))
    task = new(tmp_path, data)
    assert len(task.labels) == 77
    assert task.definition == (
        'Read this text and answer with one of 77 labels, such as "do 0", "do 1", "do 10".'
    )


def test_rows_without_a_label_are_counted_and_are_no_class(capsys, tmp_path):
    data = tmp_path / "a.jsonl"
    data.write_text(
        "".join(
            f'{{"text": "Text {n}", "label": {label}}}\n'
            for n, label in enumerate(['"good"', '"bad"', '" "', "null"] * 15)
        )
    )
    assert new(tmp_path, data).label_names == ["bad", "good"]
    assert "30 of 60 rows have nothing in 'label'; a run takes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"label": "good"}', "line 61: has no 'text'"),
        ('{"text": 5, "label": "good"}', "line 61: 'text' must be text, not 5"),
        ('{"text": "\\ud800", "label": "good"}', "line 61: 'text' holds a NUL or half a surrog"),
        ('{"text": "x", "label": "\\ud800"}', "half a surrogate pair, which is no text"),
    ],
)
def test_a_task_that_a_run_could_not_read_these_data_with_is_not_written(
    capsys, tmp_path, row, problem
):
    data = tmp_path / "a.jsonl"
    rows = [json.dumps({"text": f"Text {n}", "label": ["good", "bad"][n % 2]}) for n in range(60)]
    data.write_text("\n".join([*rows, row]))
    assert new(tmp_path, data) is None
    assert problem in capsys.readouterr().err
