"""Task files of Super-NaturalInstructions: what is read, and what is refused with which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daftt_core.data.sni import parse_task
from daftt_core.errors import DataError

TASK: dict[str, Any] = {
    "Contributors": ["one", "two"],
    "Source": ["glue", "rte"],
    "URL": ["https://example.org/glue"],
    "Categories": ["Textual Entailment"],
    "Definition": ["Say whether the second sentence follows.", "Another wording."],
    "Input_language": ["English"],
    "Output_language": ["English"],
    "Positive Examples": [{"input": "a", "output": "1", "explanation": "because"}],
    "Negative Examples": [],
    "Instances": [{"id": "task1344-1", "input": "b", "output": ["0", "no"]}],
    "Instance License": ["Apache-2.0"],
}
OLDER: dict[str, Any] = {
    "Definition": "Say\n whether it follows.",
    "Source": "glue",
    "Instances": [{"input": "b", "output": "0"}],
}


def parse(fields: object) -> Any:
    return parse_task(json.dumps(fields).encode(), "rte.json")


def test_newer_and_older_files_are_read() -> None:
    newer = parse(TASK)
    assert newer.instruction == "Say whether the second sentence follows."
    assert newer.instances[0].output == ["0", "no"]
    assert newer.positive_examples[0].output == ["1"]
    assert newer.license == ["Apache-2.0"]
    assert newer.languages == ["English", "English"]
    older = parse(OLDER)
    assert older.instruction == "Say whether it follows."
    assert older.source == ["glue"]
    assert older.instances[0].output == ["0"]
    assert older.license == []


def test_a_byte_order_mark_and_other_scripts_do_no_harm() -> None:
    fields = OLDER | {"Instances": [{"input": "Grüße, 世界 \U0001f600", "output": ["да"]}]}
    content = b"\xef\xbb\xbf" + json.dumps(fields, ensure_ascii=False).encode()
    assert parse_task(content, "x").instances[0].input == "Grüße, 世界 \U0001f600"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Definition": 3}, "rte.json: Definition: 3 must be a list"),
        ({"Definition": []}, "rte.json: Definition: is empty"),
        ({"Definition": ["  "]}, "rte.json: Definition: is empty"),
        ({"Instances": []}, "rte.json: Instances: is empty"),
        ({"Instances": {"input": "a"}}, "rte.json: Instances: must be a list"),
        ({"Instances": [{"input": "a"}]}, r"rte.json: Instances\.0\.output: is missing"),
        (
            {"Instances": [{"input": 1, "output": ["a"]}]},
            r"rte.json: Instances\.0\.input: 1 is not text",
        ),
        (
            {"Instances": [{"input": "a", "output": ["b", 2]}]},
            r"rte.json: Instances\.0\.output\.1: 2 is not text",
        ),
        (
            {"Instances": [{"input": "a\0b", "output": ["b"]}]},
            r"rte.json: Instances\.0\.input: holds a NUL or half a surrogate pair",
        ),
        ({"Source": [["x"]]}, r"rte.json: Source\.0: should be text"),
        (
            {"Positive Examples": [{"input": "a"}]},
            r"rte.json: Positive Examples\.0\.output: is missing",
        ),
    ],
)
def test_a_mistake_names_file_and_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(TASK | change)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b'{"Definition": "\xff", "Instances": []}',
        b'{"Definition": "a", "Instances": [{"input": "\\ud800", "output": ["b"]}]}',
        b"[" * 100_000,
        b'{"Definition": "a", "Instances": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_what_is_no_task_file_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^rte\.json: ") as refused:
        parse_task(content, "rte.json")
    assert len(str(refused.value)) < 2000


def test_many_mistakes_are_counted() -> None:
    with pytest.raises(DataError, match="there are 95 more mistakes"):
        parse(TASK | {"Instances": [{"input": n, "output": ["a"]} for n in range(100)]})


def test_rows_of_a_data_set_are_held_to_the_same() -> None:
    rows = {"Definition": "Do.", "Instances": [{"input": "a", "output": None}]}
    assert parse_task(rows, "x").instances[0].output == []
    with pytest.raises(DataError, match=r"task 'x': Instances\.0\.input: should be text"):
        parse_task({"Definition": "Do.", "Instances": [{"input": None, "output": "b"}]}, "task 'x'")
