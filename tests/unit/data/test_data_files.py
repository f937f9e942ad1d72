"""Reading data files: what is accepted, and the sentence for each mistake."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daftt_core.data.files import read_file
from daftt_core.data.locate import DataFile
from daftt_core.data.rows import Row
from daftt_core.errors import DataError
from daftt_core.records import Example, normalize
from daftt_core.tasks import Columns, Label, Task

SAVE = "save it as UTF-8, which a spreadsheet offers where it saves CSV"
FROM_WINDOWS = f"{SAVE} (of a file from Windows: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW)"
FROM_UTF16 = f"{SAVE} (or: iconv -f UTF-16 -t UTF-8 OLD > NEW)"
SENTIMENT = Task(
    id="sentiment",
    kind="classification",
    description="Sentiment.",
    definition="Decide.",
    writing_definition="Write.",
    labels=(
        Label(name="negative", verbalizer="negative", aliases=("0",)),
        Label(name="positive", verbalizer="positive", aliases=("1", "true")),
    ),
)
PAIRS = SENTIMENT.model_copy(update={"columns": Columns(text="premise", text_pair="hypothesis")})
REWRITE = Task(
    id="rewrite",
    kind="text2text",
    description="Rewrite.",
    definition="Rewrite.",
    writing_definition="Write.",
    columns=Columns(text="source", output="target"),
)


def rows_of(
    path: Path, task: Task = SENTIMENT, with_output: bool = True
) -> tuple[list[Row], Counter[str]]:
    left_out: Counter[str] = Counter()
    file, how = DataFile(str(path), path), {"with_output": with_output, "strict": True}
    return list(read_file(file, task, "data_train", left_out, **how)), left_out


def read(path: Path, task: Task = SENTIMENT, with_output: bool = True) -> list[Example]:
    return [row.example for row in rows_of(path, task, with_output)[0]]


def mistakes_of(path: Path, content: str | bytes, task: Task = SENTIMENT) -> list[str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read(path, task)
    lines = str(caught.value).splitlines()
    start = f"data_train: {path}"
    assert all(line.startswith(start) for line in lines)
    return [line.removeprefix(start) for line in lines]


def test_csv_with_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('label,text,note\n1,"Fine, ""really"".\nYes.",x\n\nnegative, Dull. ,y\n')
    rows, left_out = rows_of(path)
    assert left_out == {"empty row": 1}
    assert [row.example for row in rows] == [
        Example.of('Fine, "really".\nYes.', output="positive"),
        Example.of("Dull.", output="negative"),
    ]
    assert [(row.file, row.line) for row in rows] == [(str(path), 2), (str(path), 5)]


def test_a_csv_of_one_column_needs_no_quotes_around_commas(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text\nFine, really.\n"Dull, ""dull"";\n  dull."\nGood; better, best\n')
    assert [one.text for one in read(path, with_output=False)] == [
        "Fine, really.",
        'Dull, "dull";\n  dull.',
        "Good; better, best",
    ]


def test_what_spreadsheets_write_above_the_header_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeffsep=;\n\ntext;label\nFine, really.;1\n   \n;\nDull.;0\n")
    rows, left_out = rows_of(path)
    assert [(row.example.text, row.line) for row in rows] == [("Fine, really.", 4), ("Dull.", 7)]
    assert left_out == {"empty row": 2}
    path.write_bytes(b"\xef\xbb\xbf")
    assert rows_of(path) == ([], {})


def test_csv_from_a_spreadsheet_that_writes_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('label;text\n1;Fine, really.\n0;"Dull; slow."\n')
    assert [e.text for e in read(path)] == ["Fine, really.", "Dull; slow."]


def test_an_empty_csv_has_no_row_to_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("")
    left_out: Counter[str] = Counter()
    file = DataFile(str(path), path)
    read_rows = read_file(file, SENTIMENT, "data_train", left_out, with_output=True, strict=True)
    assert list(read_rows) == []
    assert left_out == {}


def test_tsv_takes_quotes_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"Open quote\t1\nsaid "so"\t0\n')
    assert [e.text for e in read(path)] == ['"Open quote', 'said "so"']


def test_jsonl_with_labels_as_numbers_and_words(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": True}, {"text": "c", "label": "0"}]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    assert [e.output for e in read(path)] == ["positive", "positive", "negative"]


def test_pairs_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("premise\thypothesis\tlabel\nIt rains.\tIt is wet.\t1\n")
    assert read(path, PAIRS) == [Example.of("It rains.", "It is wet.", output="positive")]
    assert read(path, PAIRS, with_output=False) == [Example.of("It rains.", "It is wet.")]
    path.write_text("source\ttarget\n a b \t b a \n")
    assert read(path, REWRITE) == [Example.of("a b", output="b a")]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_text(
    tmp_path: Path, name: str
) -> None:
    separator = "," if name == "a.csv" else "\t"
    path = tmp_path / name
    path.write_bytes(f"\ufefftext{separator}label\r\nFine.{separator}1\r\n".encode())
    assert read(path) == [Example.of("Fine.", output="positive")]


def test_outputs_of_unlabelled_files_are_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nFine.,unknown\nDull.,\n")
    assert read(path, with_output=False) == [Example.of("Fine."), Example.of("Dull.")]
    path.write_text("text\nFine.\n")
    assert read(path, with_output=False) == [Example.of("Fine.")]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (
            "a.csv",
            "txt,label\nFine.,1\n",
            ": there is no column 'text'; did you mean 'txt'? (columns found: 'txt', 'label'; "
            "the task's 'columns' and data_slice_column say which ones are read)",
        ),
        (
            "a.csv",
            "text,text,label\na,b,1\n",
            ": there are 2 columns 'text' (columns found: 'text', 'text', 'label'; "
            "the task's 'columns' and data_slice_column say which ones are read)",
        ),
        (
            "a.tsv",
            "text\tscore\nFine.\t1\n",
            ": there is no column 'label' (columns found: 'text', 'score'; "
            "the task's 'columns' and data_slice_column say which ones are read)",
        ),
        (
            "a.csv",
            b"text,label\nFine.,1\nCaf\xe9.,1\n",
            ", line 3: byte 4 (0xe9) is not UTF-8; " + FROM_WINDOWS,
        ),
        (
            "a.jsonl",
            b'{"text": "a", "label": 1}\n{"text": "Caf\xe9", "label": 1}\n',
            ", line 2: byte 14 (0xe9) is not UTF-8; " + FROM_WINDOWS,
        ),
        ("a.csv", "text,label\n".encode("utf-16"), ": is UTF-16; " + FROM_UTF16),
        (
            "a.csv",
            b"text,label\nFi\0ne,1\n",
            ", line 2: holds a NUL byte; the file must be plain UTF-8 text",
        ),
        ("a.csv", "text,label\nFine,so far,1\n", ", line 2: has 3 fields, but the header has 2"),
        ("a.csv", "text,label\nFine.,1\n ,1\n", ", line 3: has no 'text'"),
        (
            "a.csv",
            "text,label\nFine.,\n",
            ", line 2: has no 'label'; rows that have none yet go into a file of their own, for "
            "data_unlabelled",
        ),
        (
            "a.csv",
            "text,label\nFine.,postive\n",
            ", line 2: the label 'postive' is not known; did you mean 'positive'? "
            "(allowed: 'negative', '0', 'positive', '1', 'true')",
        ),
        (
            "a.jsonl",
            '{"text": "a", "label": 2}',
            ", line 1: the label '2' is not known (allowed: 'negative', '0', 'positive', '1', "
            "'true')",
        ),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": "a",\n',
            ", line 2: is not JSON: Expecting property name enclosed in double quotes at column 1",
        ),
        (
            "a.jsonl",
            '["a", 1]',
            ', line 1: is not a JSON object such as {"text": "...", "label": "..."}',
        ),
        (
            "a.jsonl",
            '{"Text": "a", "label": 1}',
            ", line 1: has no 'text'; did you mean 'Text'? (keys found: 'Text', 'label')",
        ),
        ("a.jsonl", '{"text": null, "label": 1}', ", line 1: has no 'text'"),
        ("a.jsonl", '{"text": ["a"], "label": 1}', ", line 1: 'text' must be text, not [\"a\"]"),
        ("a.jsonl", '{"text": "a", "label": [1]}', ", line 1: 'label' must be text, not [1]"),
        (
            "a.jsonl",
            '{"text": "a\\u0000b", "label": 1}',
            ", line 1: 'text' holds a NUL or half a surrogate pair, which is no text",
        ),
        (
            "a.jsonl",
            '{"text": "a\\ud800b", "label": 1}',
            ", line 1: 'text' holds a NUL or half a surrogate pair, which is no text",
        ),
    ],
)
def test_each_mistake_is_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    (message,) = mistakes_of(tmp_path / name, content)
    if "Expecting property name" in problem:  # its column differs between versions of Python
        assert message.startswith(problem.rsplit(" ", 1)[0])
    else:
        assert message == problem


def test_a_quote_left_open_is_found_where_its_row_begins(tmp_path: Path) -> None:
    content = 'text,label\nFine.,1\n"Open,1\n' + "Dull.,0\n" * 50
    (message,) = mistakes_of(tmp_path / "a.csv", content)
    assert message.startswith(", line 3: the row that begins here is malformed")
    assert "is a quote left open?" in message


def test_a_huge_field_is_found_and_a_large_one_is_read(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\n{'long ' * 60_000},1\n")
    assert len(read(path)[0].text) == 299_999
    (message,) = mistakes_of(path, f"text,label\n{'x' * 1_100_000},1\n")
    assert message.startswith(", line 2: the row that begins here is malformed (field larger")
    assert csv.field_size_limit() == limit, "the limit of the whole process is as it was"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_a_file_without_line_ends_is_not_read_into_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse: it takes no room
    with pytest.raises(DataError, match=r", line 1: is longer than 64 MiB; a row must end"):
        read(path)


def test_deep_nesting_and_endless_numbers_are_mistakes_like_others(tmp_path: Path) -> None:
    content = "[" * 100_000 + "\n" + '{"text": ' + "1" * 5000 + "}\n"
    first, second = mistakes_of(tmp_path / "a.jsonl", content)
    assert first.startswith(", line 1: cannot be read as JSON")
    assert second.startswith(", line 2: cannot be read as JSON")


def test_many_mistakes_are_told_at_once_but_not_all(tmp_path: Path) -> None:
    rows = ["text,label", "Fine.,1", "Fine.,2", ",1", "a,b,1", *["Dull.,3"] * 50]
    messages = mistakes_of(tmp_path / "a.csv", "\n".join(rows))
    assert len(messages) == 11
    assert [message.split(":")[0] for message in messages[:10]] == [
        f", line {number}" for number in range(3, 13)
    ]
    assert messages[10] == ": there are more mistakes after these"


def test_exactly_ten_mistakes_are_all_told(tmp_path: Path) -> None:
    messages = mistakes_of(tmp_path / "a.csv", "text,label\n" + "a,2\n" * 10)
    assert len(messages) == 10
    assert all("the label '2'" in message for message in messages)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data_train: .*none\.csv: there is no such file"):
        read(tmp_path / "none.csv")
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(DataError, match=r"a\.csv: cannot be read: Is a directory"):
        read(tmp_path / "a.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,1\n")
    path.chmod(0)
    with pytest.raises(DataError, match=r"a\.csv: cannot be read: Permission denied"):
        read(path)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(st.lists(texts.filter(normalize), min_size=1, max_size=5))
def test_whatever_was_written_as_csv_or_jsonl_is_read(
    tmp_path_factory: pytest.TempPathFactory, inputs: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, "1"] for text in inputs)
    with (folder / "a.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(
            json.dumps({"text": text, "label": 1}, ensure_ascii=len(text) % 2 == 0) + "\n"
            for text in inputs
        )
    expected = [Example.of(text.strip(), output="positive") for text in inputs]
    assert read(folder / "a.csv") == expected
    assert read(folder / "a.jsonl") == expected


@given(st.binary(max_size=200), st.sampled_from(["a.csv", "a.tsv", "a.jsonl"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("files") / name
    header = {"a.csv": b"text,label\n", "a.tsv": b"text\tlabel\n", "a.jsonl": b""}[name]
    path.write_bytes(header + content)
    with contextlib.suppress(DataError):
        assert all(normalize(example.text) for example in read(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\nFine.,1\ntext,label\nDull.,0\n"),
        ("a.csv", '\ufefftext,label\nFine.,1\n\ufeff"Text", label\nDull.,0\n'),
        ("a.tsv", "\ufefftext\tlabel\nFine.\t1\n\ufefftext\tlabel\nDull.\t0\n"),
    ],
)
@pytest.mark.parametrize("with_output", [True, False])
def test_a_header_that_is_repeated_is_left_out_and_told_with_its_line(
    tmp_path: Path, name: str, content: str, with_output: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    path.write_text(content)
    rows, left_out = rows_of(path, with_output=with_output)
    assert [row.example.text for row in rows] == ["Fine.", "Dull."]
    assert left_out == {"repeated header": 1}
    assert caplog.messages == [
        f"data_train: {path}, line 3: repeats the header, as where files were joined; it is left "
        "out, and so are others like it"
    ]


def test_a_header_of_other_order_would_swap_the_rows_after_it(tmp_path: Path) -> None:
    (message,) = mistakes_of(tmp_path / "a.csv", "text,label\nFine.,1\nlabel,text\n0,Dull.\n")
    assert message == (
        ", line 3: repeats the header with its columns in another order ('label', 'text'), so rows "
        "after it would be misread; keep files with other columns apart"
    )


def test_a_word_that_is_the_name_of_the_only_column_but_for_its_case_is_a_text(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\nText\ntext\n")
    assert [one.text for one in read(path, with_output=False)] == ["Text"]


def test_a_quote_after_a_blank_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('label, "text"\n1, "Fine, ""really""."\n0,  Dull "indeed".\n')
    assert [one.text for one in read(path)] == ['Fine, "really".', 'Dull "indeed".']
    path.write_text('label; "text"\n1; "Fine; really."\n')
    assert [one.text for one in read(path)] == ["Fine; really."]


@pytest.mark.parametrize(
    "header",
    [
        '"a;b",text,label',
        '"a, or b";text;label',
        '"a; ""b"", c",text,label',
        '"a, ""b""; c";text;label',
        '"a;\nb",text,label',
        '"a,\nb";text;label',
        '5" disk;text;label',
    ],
)
def test_what_separates_fields_is_looked_for_outside_quotes(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.csv"
    separator = "," if header.endswith("text,label") else ";"
    rows = [["x", "Fine.", "1"], ["y", "Dull.", "0"]]
    path.write_text("\n".join([header, *map(separator.join, rows)]))
    assert [one.text for one in read(path)] == ["Fine.", "Dull."]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            '{"text": "a", "label": 1, "text": "b"}',
            ", line 1: cannot be read as JSON: the key 'text' occurs twice",
        ),
        (
            '{"text": "a", "label": NaN}',
            ", line 1: cannot be read as JSON: NaN is not a JSON value; write null for a missing "
            "one",
        ),
        ('{"text": "a", "label": 1e999}', ", line 1: 'label' must be text, not Infinity"),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_that_does_not_say_one_thing_is_a_mistake(
    tmp_path: Path, name: str, line: str, problem: str
) -> None:
    assert mistakes_of(tmp_path / name, line) == [problem]


OBJECTS = [{"text": "Fine.", "label": 1}, {"text": "Dull.", "label": "0"}]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(map(json.dumps, OBJECTS)),
        "\n\n" + "\n\n".join(map(json.dumps, OBJECTS)) + "\n",
        json.dumps(OBJECTS),
        "\ufeff" + json.dumps(OBJECTS, indent=2),
    ],
)
def test_a_json_file_may_hold_lines_or_a_list(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert [(one.text, one.output) for one in read(path)] == [
        ("Fine.", "positive"),
        ("Dull.", "negative"),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            '{"data": [1],\n "version": 2}',
            ": is one JSON object with the keys 'data', 'version'; a .json file holds a list of "
            "objects, one object a line, or a task of Super-NaturalInstructions ('Definition' and "
            "'Instances')",
        ),
        (
            "[1,\n2",
            ": is not JSON: Expecting ',' delimiter at line 2, column 2; a .json file holds a list "
            "of objects, one object a line, or a task of Super-NaturalInstructions ('Definition' "
            "and 'Instances')",
        ),
        (
            '[{"text": "a", "label": 1}, {"text": "b", "lable": 0}, 3]',
            ", instance 2: has no 'label'; did you mean 'lable'? (keys found: 'text', 'lable')",
        ),
        (
            '[{"text": "a", "text": "b"}]',
            ": cannot be read as JSON: the key 'text' occurs twice",
        ),
        ('{"text": "a", "label": 1}\n{"text": "b"', ", line 2: is not JSON: Expecting"),
        (json.dumps([{"text": "a"}]).encode("utf-16"), ": is UTF-16; " + FROM_UTF16),
    ],
)
def test_what_a_json_file_does_not_hold_is_told(
    tmp_path: Path, content: str | bytes, problem: str
) -> None:
    message, *others = mistakes_of(tmp_path / "a.json", content)
    assert message.startswith(problem)
    assert len(others) == ("instance 2" in problem), "of a list, each item that cannot be used"


def test_spellings_that_unicode_calls_the_same_are_one_label_and_one_column(
    tmp_path: Path,
) -> None:
    labels = tuple(Label(name=name, verbalizer=name) for name in ("caf\u00e9", "bar"))
    columns = Columns(text="gro\u0308\u00dfe", output="label")
    task = SENTIMENT.model_copy(update={"labels": labels, "columns": columns})
    for name, content in [
        ("a.csv", "gr\u00f6\u00dfe,label\nFine.,cafe\u0301\n"),
        ("b.csv", "gro\u0308\u00dfe,label\nFine.,caf\u00e9\n"),
        ("c.jsonl", '{"gr\u00f6\u00dfe": "Fine.", "label": "cafe\u0301"}'),
    ]:
        (tmp_path / name).write_text(content)
        assert [one.output for one in read(tmp_path / name, task)] == ["caf\u00e9"]


def test_a_label_with_a_character_that_is_not_seen_is_shown_with_it(tmp_path: Path) -> None:
    (message,) = mistakes_of(tmp_path / "a.csv", "text,label\nFine.,positive\u202e\n")
    assert message.startswith(
        r", line 2: the label 'positive\u202e' is not known; did you mean 'positive'?"
    )
