"""Writes and reads the sheet that people mark: CSV, for any spreadsheet program.

What a teacher wrote may be hostile: no cell may be taken for a formula. A marked sheet is read
strictly: a mark that is missing or misspelled is an error with its line, never a guess.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from daftt_core.curation.annotation_tools import is_export, read_export
from daftt_core.errors import DataError, did_you_mean, shortened
from daftt_core.records import SyntheticExample
from daftt_core.tasks import Task

CORRECTION = "correction"
"""The column for the right label, where the one on the sheet is wrong."""

_COLUMNS = (
    *("id", "source", "label", "text", "text_pair"),
    *("label_ok", "hallucination", "usable", CORRECTION),
)
Question = Literal["label_ok", "hallucination", "usable"]
QUESTIONS: dict[Question, tuple[str, str]] = {
    "label_ok": ("n", "wrong labels"),
    "hallucination": ("y", "hallucinations"),
    "usable": ("n", "unusable texts"),
}
"""For each column to mark the answer that is a fault, and the name of the fault."""

# Spreadsheet programs take a cell that begins like this for a formula (OWASP, "CSV Injection").
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SHOWN_MISTAKES = 20


def sheet_of(drawn: Sequence[SyntheticExample]) -> str:
    """Return the sheet as CSV, with empty cells for the marks."""
    text = io.StringIO()
    # quoted throughout: a program that splits at semicolons must not find a cell inside a text
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(_COLUMNS)
    for example in drawn:
        cells = (example.output, example.text, example.text_pair)
        # "#": an id such as 1234e56 would become a number
        row = [f"#{example.id}", example.source, *(_harmless(cell or "") for cell in cells)]
        writer.writerow([*row, "", "", "", ""])
    return text.getvalue()


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet program takes for a formula."""
    shown = _CONTROL.sub("\ufffd", cell.replace("\r\n", "\n"))
    return f"'{shown}" if _FORMULA.match(shown) else shown


def read_sheet(
    path: Path, drawn: Mapping[str, SyntheticExample], task: Task
) -> dict[str, dict[str, str]]:
    """Return the marks on a sheet by id and question: ``y`` or ``n``, and corrected outputs.

    Args:
        path: The marked sheet, or what an annotation tool has exported.
        drawn: The examples that must be on it, by id.
        task: Says which labels are allowed.

    Raises:
        DataError: The file is not a sheet, an example is not marked, or a correction is no label or
            contradicts its mark; names line and column.
    """
    marks: dict[str, dict[str, str]] = {}
    mistakes = []
    for place, row in read_export(path) if is_export(path) else _rows(path):
        own_id = row["id"].strip().removeprefix("#")
        if own_id not in drawn or own_id in marks:
            problem = "is on the sheet twice" if own_id in marks else "is not on this run's sheet"
            mistakes.append(f"{path}, {place}: id: {row['id']!r} {problem}")
            continue
        marks[own_id], problems = _marks_in(row, drawn[own_id], task)
        mistakes += [f"{path}, {place}: {problem}" for problem in problems]
    missing = [example_id for example_id in drawn if example_id not in marks]
    if missing:
        mistakes.append(
            f"{path}: {len(missing)} examples of the sheet are missing, such as #{missing[0]}"
        )
    if mistakes:
        more = len(mistakes) - _SHOWN_MISTAKES
        shown = mistakes[:_SHOWN_MISTAKES] + [f"and {more} more mistakes"] * (more > 0)
        raise DataError("\n".join(shown))
    return marks


def _marks_in(
    row: Mapping[str, str], example: SyntheticExample, task: Task
) -> tuple[dict[str, str], list[str]]:
    """Return the marks in a row, and what is wrong with them."""
    marks: dict[str, str] = {}
    problems = []
    for question in QUESTIONS:
        marks[question] = row[question].strip().lower()
        if marks[question] not in ("y", "n"):
            actual = repr(row[question]) if marks[question] else "it is empty"
            problems.append(f"{question}: {actual}; write y or n")
    try:
        if correction := _correction(row, marks, example, task):
            marks[CORRECTION] = correction
    except ValueError as error:
        problems.append(f"{CORRECTION}: {error}")
    return marks, problems


def _correction(
    row: Mapping[str, str], marks: Mapping[str, str], example: SyntheticExample, task: Task
) -> str:
    """Return the corrected output in a row; empty where there is none."""
    text = row.get(CORRECTION, "").strip()
    if not text:
        return ""
    if marks["label_ok"] == "y":
        raise ValueError(f"{shortened(text)!r}, but label_ok is y; write n, or leave it empty")
    if not task.is_classification:
        return text
    labels = []
    for name in task.labels_in(text):
        label = task.label_for(name)
        if label is None:
            raise ValueError(
                f"{shortened(name)!r} is no label{did_you_mean(name, task.label_names)} (allowed: "
                f"{', '.join(task.label_names[:_SHOWN_MISTAKES])})"
            )
        labels.append(label)
    output = task.output_of(labels)
    if output == example.output:
        raise ValueError(f"{text!r} is the label that it has; write y for label_ok, or another")
    return output


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row with the line it begins on; separators are commas, semicolons or tabs."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; save the sheet as CSV in UTF-8") from None
    heading = (text.splitlines() or [""])[0].strip()
    delimiter = max(",;\t", key=heading.count)
    names = next(csv.reader([heading], delimiter=delimiter), [])
    for name in names:
        if name not in _COLUMNS:
            known = ", ".join(_COLUMNS)
            raise DataError(
                f"{path}, line 1: there is no column {name!r}{did_you_mean(name, _COLUMNS)} "
                f"(known: {known})"
            )
    if absent := [name for name in ("id", *QUESTIONS) if name not in names]:
        raise DataError(f"{path}, line 1: the column {absent[0]!r} is missing")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if line > 1 and any(cell.strip() for cell in cells):
                if len(cells) != len(names):
                    raise DataError(
                        f"{path}, line {line}: has {len(cells)} cells; {len(names)} are expected"
                    )
                yield f"line {line}", dict(zip(names, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: is not CSV: {error}") from None
