"""What is proposed for a task from the data it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from builtin_data import COLUMNS, rows_of

from daftt_core.errors import DataError
from daftt_core.tasks import load_task, look_at, propose_columns, propose_kind


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
        ("a.xlsx", b"", "must end in .csv, .tsv or .jsonl"),
        ("a.csv", b"", "has no rows"),
        ("a.csv", b'a,b\n"open,1\n', "cannot be read: unexpected end of data"),
        ("a.csv", b"a,b\n\xff,1\n", "is not UTF-8"),
        ("a.jsonl", b"[1]\n", "line 1: is not a JSON object"),
        ("a.jsonl", b"{\n", "cannot be read: Expecting property name"),
        ("a.jsonl", b"[" * 100_000, "cannot be read: "),
    ],
)
def test_a_file_that_cannot_be_looked_at_is_named(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*{problem}"):
        look_at(tmp_path / name)


def test_semicolons_between_the_names_of_columns_separate_fields(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("No;What they said;Mood\n1;fine, really;good\n")
    table = look_at(tmp_path / "a.csv")
    assert table == {"No": ["1"], "What they said": ["fine, really"], "Mood": ["good"]}


def test_one_column_is_not_enough(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\n"quoted\n')
    with pytest.raises(DataError, match="there is one column, 'text'"):
        propose_columns(look_at(tmp_path / "a.tsv"))
