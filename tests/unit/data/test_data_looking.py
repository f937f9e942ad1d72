"""What is proposed for a task from the data it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from builtin_data import COLUMNS, rows_of

from daftt_core.data import look_at
from daftt_core.errors import DataError
from daftt_core.tasks import (
    Columns,
    load_task,
    propose_columns,
    propose_kind,
    propose_outputs,
    several_labels,
)

TEXTS = [f"A message about matter {number}." for number in range(60)]


def cycle(*values: str) -> list[str]:
    """A column of 60 rows."""
    return [values[number * 7 % len(values)] for number in range(60)]


@pytest.mark.parametrize("name", COLUMNS)
def test_the_columns_and_kinds_of_public_data_sets_are_found(name: str) -> None:
    path = Path(__file__).parents[2] / "data" / "tasks" / f"{name}.jsonl"
    table, task = look_at(path), load_task(name)
    assert len(table[task.columns.text]) == len(rows_of(name))
    assert propose_columns(table) == task.columns
    outputs = table[task.columns.output]
    assert bool(several_labels(outputs)) == task.is_multilabel
    if not task.is_multilabel:
        assert propose_kind(outputs) == task.kind


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.xlsx", b"", "must end in .csv, .tsv, .jsonl, .json"),
        ("a.jsonl", b'{"a": NaN}\n', "line 1: .*NaN is not a JSON value; write null"),
        ("a.csv", b"", "has no rows"),
        ("a.csv", b'a,b\n"open,1\n', "line 2: the row that begins here is malformed"),
        ("a.csv", b"a,b\r1,2\r", "line 1: .*a carriage return stands alone"),
        ("a.csv", b"a,b\n\xff,1\n", "line 2: byte 1 .*is not UTF-8; .* -f WINDOWS-1252"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "is UTF-16; .* -f UTF-16 "),
        ("a.csv", b"a,b\n1,\0\n", "line 2: holds a NUL"),
        ("a.csv", b"a,b,a\n1,2,3\n", "there are 2 columns 'a'"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "line 3: has 3 fields, but the header has 2"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "line 2: is not a JSON object"),
        ("a.jsonl", b'{"a": 1}\n{\n', "line 2: is not JSON: Expecting property name"),
        ("a.jsonl", b"[" * 100_000, "line 1: cannot be read as JSON"),
    ],
)
def test_a_file_that_cannot_be_looked_at_is_named(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{problem}"):
        look_at(tmp_path / name)


@pytest.mark.parametrize("before", ["", "\n", "sep=;\n"])
def test_semicolons_between_the_names_of_columns_separate_fields(
    tmp_path: Path, before: str
) -> None:
    (tmp_path / "a.csv").write_text(f"{before}No;What they said;Mood\n1;fine, really;good\n")
    table = look_at(tmp_path / "a.csv")
    assert table == {"No": ["1"], "What they said": ["fine, really"], "Mood": ["good"]}


def test_of_several_columns_of_labels_the_one_whose_name_says_so_is_the_output() -> None:
    table = {
        "Channel": ["mail", "chat"] * 6,
        "Message": [f"A message about matter {number}." for number in range(12)],
        "Queue / final": ["billing", "lost", "broken"] * 4,
    }
    assert propose_columns(table) == Columns(text="Message", output="Queue / final")
    assert propose_columns(table | {"Queue / final": ["x", "y", "z"] * 4, "class": ["1"] * 12}) == (
        Columns(text="Message", output="class")
    )


def test_one_column_is_not_enough(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\n"quoted\n')
    with pytest.raises(DataError, match="there is one column, 'text'"):
        propose_columns(look_at(tmp_path / "a.tsv"))


@pytest.mark.parametrize(
    ("columns", "outputs"),
    [
        # where a row comes from is no label beside one
        ({"source": cycle("web", "wire"), "desk": cycle("sports", "culture", "city")}, ["desk"]),
        ({"language": cycle("en", "de")}, ["language"]),
        ({"status": cycle("open"), "team": cycle("red", "blue")}, ["team"]),
        ({"resolved": cycle("yes", "no"), "spam": cycle("1", "0")}, ["resolved", "spam"]),
        ({"category": cycle("a", "b"), "sentiment": cycle("p", "n")}, ["category", "sentiment"]),
        ({"summary": TEXTS[::-1], "priority": cycle("high", "low")}, ["priority", "summary"]),
        ({"resolved": cycle("yes", "no"), "sentiment": cycle("p", "n")}, ["sentiment"]),
        ({"resolved": cycle("yes", "no"), "intent": TEXTS[::-1]}, ["intent"]),
        ({"age": [str(20 + n // 2) for n in range(60)], "mood": cycle("up", "down")}, ["mood"]),
        # the same labels as numbers and as words
        ({"label": cycle("0", "1"), "label_text": cycle("no", "yes")}, ["label_text"]),
        ({"label": cycle("0", "1"), "source": cycle("web", "wire")}, ["label"]),
        ({"de": TEXTS[::-1]}, ["de"]),
        ({"first": TEXTS[::-1], "second": TEXTS[5:] + TEXTS[:5]}, ["first", "second"]),
    ],
)
def test_the_output_is_told_by_names_and_values_or_its_candidates_are(
    columns: dict[str, list[str]], outputs: list[str]
) -> None:
    assert propose_outputs({"text": TEXTS, **columns}) == outputs


def test_the_input_is_no_address_no_constant_and_no_column_that_is_mostly_empty() -> None:
    table = {
        "url": [f"https://news.example/{'long/' * 20}{number}" for number in range(60)],
        "notice": ["Terms and conditions apply. " * 9] * 60,
        "remark": [
            "A very long remark on this row. " * 9 + str(n) if n < 9 else "" for n in range(60)
        ],
        "headline": TEXTS,
        "desk": cycle("sports", "city"),
    }
    assert propose_columns(table) == Columns(text="headline", output="desk")
    assert propose_columns(table, output="headline").text == "desk"


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        ([f"intent_{number % 77}" for number in range(770)], "classification"),
        ([f"intent_{number % 77}" for number in range(100)], None),
        (["good", "bad"], None),
        ([f"2024-01-{number % 28 + 1}" for number in range(60)], None),
        ([str(number / 7) for number in range(60)], None),
        ([f"https://example.com/{number}" for number in range(60)], None),
        (["Home and garden, of which there is much to be said at length here.", "Else"] * 30, None),
        (["1", "2", "3", "4", "5"] * 9, "classification"),
        (TEXTS, "text2text"),
    ],
)
def test_the_kind_is_told_by_how_often_outputs_come_again_or_not_at_all(
    outputs: list[str], kind: str | None
) -> None:
    assert propose_kind(outputs) == kind


@pytest.mark.parametrize(
    ("outputs", "several"),
    [
        (["billing", "refund", "billing;refund"], {"billing;refund"}),
        (["billing", "lost", "billing | refund"], {"billing | refund"}),
        (["billing", "refund", "billing, refund"], {"billing, refund"}),
        (["a\nb", "a"], {"a\nb"}),
        (["a;b", "b;c", "a;c"], {"a;b", "b;c", "a;c"}),
        (["['a', 'b']", '["a"]', "[]"], {"['a', 'b']", '["a"]', "[]"}),
        (["yes, of course", "yes", "no"], set()),
        (["Food/drink", "Sports/ball", "Sports and more"], set()),
        (["[URGENT]", "a; one label", "account\nblocked"], set()),
    ],
)
def test_several_labels_in_one_cell_are_seen(outputs: list[str], several: set[str]) -> None:
    assert set(several_labels(outputs)) == several


def test_null_in_json_is_empty_and_a_column_without_a_name_is_none(tmp_path: Path) -> None:
    lines = ['{"a": null, "b": null, " ": 1}', '{"a": true, "b": 1.5, "c": ["x"]}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert look_at(tmp_path / "a.jsonl") == {
        "a": ["", "true"],
        "b": ["", "1.5"],
        "c": ["", '["x"]'],
    }


@pytest.mark.parametrize(
    "content",
    [
        '[{"input": "x", "output": "y"}, {"input": "z"}]',
        '{"input": "x", "output": "y"}\n{"input": "z"}\n',
        '{"Definition": "D.", "Instances": [{"input": "x", "output": "y"}, '
        '{"input": "z", "output": []}]}',
    ],
)
def test_json_is_looked_at_in_each_of_its_forms(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    assert look_at(tmp_path / "a.json") == {"input": ["x", "z"], "output": ["y", ""]}
