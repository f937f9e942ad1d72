"""What is proposed for a task from the data it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from builtin_data import COLUMNS, rows_of

from daftt_core.data import look_at
from daftt_core.errors import DataError
from daftt_core.tasks import Columns, load_task, propose_columns, propose_kind


@pytest.mark.parametrize("name", COLUMNS)
def test_the_columns_and_kinds_of_public_data_sets_are_found(name: str) -> None:
    path = Path(__file__).parents[2] / "data" / "tasks" / f"{name}.jsonl"
    table, task = look_at(path), load_task(name)
    assert len(table[task.columns.text]) == len(rows_of(name))
    assert propose_columns(table) == task.columns
    assert propose_kind(table[task.columns.output]) == task.kind


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.xlsx", b"", "must end in .csv, .tsv, .jsonl"),
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
