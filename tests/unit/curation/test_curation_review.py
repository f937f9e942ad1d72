"""The sheet that people mark, and what is read back from it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from daftt_core.curation import (
    CORRECTIONS,
    kept_examples,
    make_sheet,
    read_marks,
    read_review,
)
from daftt_core.curation.review import Finding
from daftt_core.data.files import read_file
from daftt_core.data.locate import DataFile
from daftt_core.errors import DataError, StorageError
from daftt_core.records import Example, SyntheticExample, write_jsonl, write_text
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, run_stage

FORMULAS = [
    '=HYPERLINK("http://x.example","y")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "\uff1d1",
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(uri=str(tmp_path / "run"), seed=7, task=load_task("movie-reviews"))


def _example(text: str, source: str, output: str) -> SyntheticExample:
    example = Example.of(text, output=output)
    return SyntheticExample(**example.model_dump(), source=source)


def _curated(run: Run, extra: tuple[str, ...] = (), attempt: int = 0) -> None:
    annotated = [_example(f"real film {i}", "annotated", "positive") for i in range(120)]
    annotated += [_example(f"dull film {i}", "annotated", "negative") for i in range(60)]
    generated = [_example(f"made-up film {i}", "generated", "negative") for i in range(20)]
    generated += [_example(text, "generated", "positive") for text in extra]

    def work(folder: Path) -> dict[str, Any]:
        write_jsonl(folder / "annotated.jsonl", annotated)
        write_jsonl(folder / "generated.jsonl", generated)
        write_text(folder / "attempt", str(attempt))
        return {}

    run_stage(run, "curated", [attempt], work)


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))


def _mark(path: Path, marks: dict[int, dict[str, str]], delimiter: str = ",") -> Path:
    """A copy in which everything is well, except for what ``marks`` says about some rows."""
    rows = _rows(path)
    for place, row in enumerate(rows):
        row |= {"label_ok": "y", "hallucination": "n", "usable": "y"} | marks.get(place, {})
    marked = path.with_name("marked.csv")
    with marked.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return marked


def test_the_sheet_has_each_source_and_label_in_proportion(run: Run, tmp_path: Path) -> None:
    _curated(run)
    assert make_sheet(run, tmp_path / "sheet.csv", 100) == 100
    rows = _rows(tmp_path / "sheet.csv")
    assert Counter((row["source"], row["label"]) for row in rows) == {
        ("annotated", "positive"): 60,
        ("annotated", "negative"): 30,
        ("generated", "negative"): 10,
    }
    assert len({row["id"] for row in rows}) == 100
    assert [row["source"] for row in rows] != sorted(row["source"] for row in rows)
    make_sheet(run, tmp_path / "again.csv", 100)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "sheet.csv").read_bytes()


def test_a_rare_label_is_on_the_sheet_and_all_are_where_there_are_few(
    run: Run, tmp_path: Path
) -> None:
    _curated(run, extra=("the only good one",))
    make_sheet(run, tmp_path / "few.csv", 10)
    assert "the only good one" in {row["text"] for row in _rows(tmp_path / "few.csv")}
    assert make_sheet(run, tmp_path / "all.csv", 1000) == 201


def test_lines_stay_lines_on_the_sheet(run: Run, tmp_path: Path) -> None:
    _curated(run, extra=("a poem\nof two lines", "another\r\none"))
    make_sheet(run, tmp_path / "sheet.csv", 1000)
    texts = {row["text"] for row in _rows(tmp_path / "sheet.csv")}
    assert {"a poem\nof two lines", "another\none"} <= texts


def test_no_cell_is_a_formula(run: Run, tmp_path: Path) -> None:
    _curated(run, extra=(*FORMULAS, "two\nlines; =1, and a \x00", "a plain text"))
    make_sheet(run, tmp_path / "sheet.csv", 1000)
    cells = [cell for row in _rows(tmp_path / "sheet.csv") for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] in {*"=+-@\t\r", "\uff1d"}]
    assert {f"'{text}" for text in FORMULAS if "\r" not in text} <= set(cells)
    assert "two\nlines; =1, and a \ufffd" in cells
    # whatever a program takes for the separator, a text stays between its quotes
    assert all(line.startswith('"') for line in (tmp_path / "sheet.csv").read_text("utf-8-sig").
               splitlines() if line.startswith('"#'))  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_rates_of_what_was_marked(run: Run, tmp_path: Path, delimiter: str) -> None:
    _curated(run)
    make_sheet(run, tmp_path / "sheet.csv", 100)
    generated = [i for i, row in enumerate(_rows(tmp_path / "sheet.csv"))
                 if row["source"] == "generated"]  # fmt: skip
    marks = {place: {"label_ok": " N "} for place in generated[:4]}
    marks[generated[5]] = {"usable": "n", "hallucination": "Y"}
    read_marks(run, _mark(tmp_path / "sheet.csv", marks, delimiter))
    review = read_review(run)
    assert review is not None
    found = {(each.group, each.question): (each.faults, each.count) for each in review.findings}
    assert found == {
        ("all", "label_ok"): (4, 100),
        ("all", "hallucination"): (1, 100),
        ("all", "usable"): (1, 100),
        ("annotated", "label_ok"): (0, 90),
        ("annotated", "hallucination"): (0, 90),
        ("annotated", "usable"): (0, 90),
        ("generated", "label_ok"): (4, 10),
        ("generated", "hallucination"): (1, 10),
        ("generated", "usable"): (1, 10),
    }


# Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3
@pytest.mark.parametrize(
    ("faults", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons_as_published(
    faults: int, count: int, low: float, high: float
) -> None:
    found = Finding.of("all", "usable", faults, count)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_every_mistake_is_named_with_its_line(run: Run, tmp_path: Path) -> None:
    _curated(run, extra=("two\nlines",))
    make_sheet(run, tmp_path / "sheet.csv", 1000)
    lines = [place for place, row in enumerate(_rows(tmp_path / "sheet.csv"))
             if row["text"] == "two\nlines"]  # fmt: skip
    marked = _mark(
        tmp_path / "sheet.csv",
        {0: {"label_ok": "maybe"}, lines[0]: {"usable": ""}, lines[0] + 1: {"id": "#abc"}},
    )
    with pytest.raises(DataError) as caught:
        read_marks(run, marked)
    assert str(caught.value).splitlines() == [
        f"{marked}, line 2: label_ok: 'maybe'; write y or n",
        f"{marked}, line {lines[0] + 2}: usable: it is empty; write y or n",
        f"{marked}, line {lines[0] + 4}: id: '#abc' is not on this run's sheet",
        str(caught.value).splitlines()[-1],
    ]
    assert "1 examples of the sheet are missing, such as #" in str(caught.value)
    assert read_review(run) is None


def test_an_unmarked_sheet_is_refused_in_few_words(run: Run, tmp_path: Path) -> None:
    _curated(run)
    make_sheet(run, tmp_path / "sheet.csv", 100)
    with pytest.raises(DataError, match="and 280 more mistakes"):
        read_marks(run, tmp_path / "sheet.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the column 'id' is missing"),
        ("id,label_ok,usable\n", "line 1: the column 'hallucination' is missing"),
        ("id,label_okay,usable\n", "no column 'label_okay'; did you mean 'label_ok'"),
        ("id,label_ok,hallucination,usable\n#1,y\n", "line 2: has 2 cells; 4 are expected"),
        ('id,label_ok,hallucination,usable\n"#1,y\n', "line 2: is not CSV"),
        ("id,label_ok,hallucination,usable\n", "100 examples of the sheet are missing"),
    ],
)
def test_what_is_no_sheet_is_refused(run: Run, tmp_path: Path, text: str, message: str) -> None:
    _curated(run)
    make_sheet(run, tmp_path / "sheet.csv", 100)
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_marks(run, tmp_path / "other.csv")


def test_files_that_cannot_be_read_or_are_no_text(run: Run, tmp_path: Path) -> None:
    _curated(run)
    make_sheet(run, tmp_path / "sheet.csv", 100)
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_marks(run, tmp_path / "none.csv")
    (tmp_path / "sheet.xlsx").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(DataError, match="is not UTF-8 text; save the sheet as CSV"):
        read_marks(run, tmp_path / "sheet.xlsx")


def test_a_sheet_is_never_written_over(run: Run, tmp_path: Path) -> None:
    _curated(run)
    (tmp_path / "sheet.csv").write_text("marks of an hour")
    with pytest.raises(StorageError, match="is there already"):
        make_sheet(run, tmp_path / "sheet.csv", 100)
    with pytest.raises(StorageError, match="no sheet was made"):
        read_marks(run, tmp_path / "sheet.csv")
    with pytest.raises(StorageError, match="cannot be written: No such file"):
        make_sheet(run, tmp_path / "none" / "sheet.csv", 100)


def test_a_review_belongs_to_one_curation(run: Run, tmp_path: Path) -> None:
    _curated(run)
    make_sheet(run, tmp_path / "sheet.csv", 100)
    marked = _mark(tmp_path / "sheet.csv", {})
    read_marks(run, marked)
    _curated(run, attempt=1)
    assert read_review(run) is None
    with pytest.raises(StorageError, match="was curated again since the sheet was made"):
        read_marks(run, marked)


def test_a_run_that_kept_nothing_has_nothing_to_review(run: Run, tmp_path: Path) -> None:
    def work(folder: Path) -> dict[str, Any]:
        write_jsonl(folder / "annotated.jsonl", [])
        write_jsonl(folder / "generated.jsonl", [])
        return {}

    run_stage(run, "curated", [], work)
    with pytest.raises(DataError, match="kept no example"):
        make_sheet(run, tmp_path / "sheet.csv", 100)


def test_corrected_labels_are_a_data_file_of_the_task(run: Run, tmp_path: Path) -> None:
    _curated(run, extra=('=1+1, "so"',))
    make_sheet(run, tmp_path / "sheet.csv", 1000)
    rows = _rows(tmp_path / "sheet.csv")
    place = next(i for i, row in enumerate(rows) if row["text"].startswith("'="))
    bad, unusable = (
        i for i, row in enumerate(rows) if row["text"] in ("dull film 0", "dull film 1")
    )
    wrong = {"label_ok": "n", "correction": " positive"}
    marks = {bad: wrong, unusable: wrong | {"usable": "n"}}
    marks[place] = wrong | {"correction": "negative"}
    result = read_marks(run, _mark(tmp_path / "sheet.csv", marks))
    assert result.summary["corrections"] == 2
    path = run.folder / "review" / "marks" / CORRECTIONS
    read = list(
        read_file(
            DataFile("b", path),
            run.task,
            "data_corrections",
            Counter(),
            with_output=True,
            strict=True,
        )
    )
    expected = {rows[bad]["text"]: "positive", '=1+1, "so"': "negative"}
    assert {row.example.text: row.example.output for row in read} == expected


def test_a_correction_that_cannot_be_meant_is_named(run: Run, tmp_path: Path) -> None:
    _curated(run)
    make_sheet(run, tmp_path / "sheet.csv", 1000)
    negative = next(
        i for i, row in enumerate(_rows(tmp_path / "sheet.csv")) if row["label"] == "negative"
    )
    for mark, problem in (
        ({"correction": "positive"}, "'positive', but label_ok is y; write n, or leave it empty"),
        (
            {"label_ok": "n", "correction": "positve"},
            "'positve' is no label; did you mean 'positive'? (allowed: negative, positive)",
        ),
        ({"label_ok": "n", "correction": "negative"}, "'negative' is the label that it has"),
    ):
        marked = _mark(tmp_path / "sheet.csv", {negative: mark})
        with pytest.raises(DataError) as caught:
            read_marks(run, marked)
        assert str(caught.value).startswith(f"{marked}, line {negative + 2}: correction: {problem}")


def test_a_sheet_from_before_corrections_is_still_read(run: Run, tmp_path: Path) -> None:
    _curated(run)
    make_sheet(run, tmp_path / "sheet.csv", 100)
    marked = _mark(tmp_path / "sheet.csv", {})
    rows = _rows(marked)
    with marked.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name != "correction"],
                                extrasaction="ignore")  # fmt: skip
        writer.writeheader()
        writer.writerows(rows)
    assert read_marks(run, marked).summary["corrections"] == 0
    assert not (run.folder / "review" / "marks" / CORRECTIONS).exists()


def test_the_most_doubtful_labels_have_a_sheet_of_their_own(run: Run, tmp_path: Path) -> None:
    _curated(run)
    make_sheet(run, tmp_path / "random.csv", 100)
    read_marks(run, _mark(tmp_path / "random.csv", {}))
    review = read_review(run)
    kept = list(kept_examples(run.folder / "curated"))
    doubts = {each.id: place / len(kept) for place, each in enumerate(kept)}
    assert make_sheet(run, tmp_path / "sheet.csv", 10, doubts) == 10
    rows = _rows(tmp_path / "sheet.csv")
    assert [row["id"] for row in rows] == [f"#{each.id}" for each in reversed(kept[-10:])]
    wrong = {"label_ok": "n", "correction": "positive"}
    marked = _mark(tmp_path / "sheet.csv", {0: wrong})
    assert read_marks(run, marked, contested=True).name == "review/corrected"
    assert (run.folder / "review" / "corrected" / CORRECTIONS).is_file()
    assert read_review(run) == review  # its rates are of a random sample alone
