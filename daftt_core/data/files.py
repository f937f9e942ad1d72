"""Reading a user's data files: what a row must hold, and the place of every mistake.

``.csv`` is comma separated with RFC 4180 quoting. ``.tsv`` follows the registered media type
text/tab-separated-values: tabs separate, one row a line, and quotes are ordinary characters.
``.jsonl`` holds one JSON object a line. All are UTF-8, with or without a byte order mark.
``.parquet`` and ``.arrow`` are read as :mod:`daftt_core.data.columnar_files` says. ``.json`` is a
list of objects, one object a line, or a task of Super-NaturalInstructions.

A user's labelled files are read strictly: a row that cannot be used is a mistake. Of inputs without
outputs there may be a hundred million, and nobody can edit a public data set; there, such a row is
left out and counted.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from daftt_core.data.columnar_files import read_columns
from daftt_core.data.json_files import read_json_file
from daftt_core.data.locate import DataFile
from daftt_core.data.rows import UNKNOWN_LABEL, Fields, Mistakes, Problem, Row, list_names, unit_of
from daftt_core.data.sni import parse_task
from daftt_core.data.text_files import read_lines
from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import Example, composed, digest, normalize
from daftt_core.tasks import Task

_COLUMNAR = (".parquet", ".arrow")
_NOTHING = "no input"
_FOR_THE_TEACHER = "rows that have none yet go into a file of their own, for data_unlabelled"
_MOST_SLICE_CHARACTERS = 60
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_RAW_BYTE = re.compile("[\udc80-\udcff]")  # so a byte that is not UTF-8 is decoded


def read_file(
    file: DataFile,
    task: Task,
    setting: str,
    left_out: Counter[str],
    *,
    with_output: bool,
    strict: bool,
    may_lack_output: bool = False,
    slice_column: str = "",
) -> Iterator[Row]:
    """Read the examples of a file, one by one.

    Args:
        file: A file that :func:`~daftt_core.data.locate.locate` has found.
        task: Says which columns hold the input and the output, and which labels are allowed.
        setting: The parameter that named the file, for messages.
        left_out: Gets the number of rows that were left out, by reason.
        with_output: Whether each row must have an output; if not, outputs are not looked at.
        strict: Whether every row must be right; if not, what cannot be used is left out.
        may_lack_output: Whether a row without an output is an example whose output is unknown; if
            not, it cannot be used.
        slice_column: A column whose values are kept beside the examples; empty: none.

    Raises:
        DataError: The file cannot be used; names up to ten rows and what is wrong there.
    """
    mistakes = Mistakes(f"{setting}: {file.name}", strict, unit_of(file.path.name), left_out)
    wanted = [task.columns.text, task.columns.text_pair]
    wanted += [task.columns.output if with_output else None, slice_column]
    columns = list(dict.fromkeys(name for name in wanted if name))
    may_lack = [task.columns.output] if may_lack_output else []
    try:
        for line, fields in _fields(file.path, task, columns, mistakes, may_lack):
            if all(_is_blank(fields[column]) for column in columns):
                mistakes.pass_over()
                continue
            reads_output = with_output and not (
                may_lack_output and _is_blank(fields[task.columns.output])
            )
            example = _example(fields, task, reads_output)
            sliced_by = fields.get(slice_column) if slice_column else None
            value, problem = _slice_value(sliced_by, slice_column)
            if isinstance(example, Problem):
                mistakes.add(line, example)
            elif problem:
                mistakes.add(line, problem)
            else:
                yield Row(example, file.name, line, value)
    except FileNotFoundError:
        raise DataError(f"{mistakes.file}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{mistakes.file}: cannot be read: {error.strerror}") from None
    mistakes.check()


def _fields(
    path: Path,
    task: Task,
    columns: Sequence[str],
    mistakes: Mistakes,
    may_lack: Sequence[str],
) -> Fields:
    suffix = path.suffix.lower()
    if suffix in _COLUMNAR:
        return read_columns(path, columns, mistakes)
    if suffix == ".json":

        def read_task(content: bytes) -> Fields:
            return _instances(content, task, columns, mistakes)

        return read_json_file(path, columns, mistakes, may_lack, read_task)
    return read_lines(path, columns, mistakes, may_lack)


def _instances(content: bytes, task: Task, columns: Sequence[str], mistakes: Mistakes) -> Fields:
    """The instances of a task file; one with several outputs is as many rows."""
    if task.columns.text_pair:
        raise DataError(
            f"{mistakes.file}: an instance has one input, but the task's inputs are pairs; write "
            "them into a file with two columns"
        )
    names = [task.columns.text, task.columns.output]
    mistakes.check_columns(names, columns)
    for number, instance in enumerate(parse_task(content, mistakes.file).instances, start=1):
        outputs = instance.output if task.columns.output in columns else []
        for output in outputs or [""]:
            yield number, dict(zip(names, (instance.input, output), strict=True))


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _example(fields: Mapping[str, object], task: Task, with_output: bool) -> Example | Problem:
    """The example that a row holds, or what is wrong with it."""
    inputs = []
    for column in (task.columns.text, task.columns.text_pair):
        if column is not None:
            text, problem = _text(fields[column], column)
            if problem:
                return problem
            inputs.append(text)
    if not with_output:
        return Example.of(*inputs)
    find_output = _label if task.is_classification else _target
    output, problem = find_output(fields[task.columns.output], task)
    if problem and problem.reason == _NOTHING:
        return Problem(_NOTHING, f"{problem.message}; {_FOR_THE_TEACHER}")
    return problem or Example.of(inputs[0], inputs[1] if len(inputs) > 1 else None, output=output)


def _text(value: object, column: str) -> tuple[str, Problem | None]:
    """A text without white space around it, and what is wrong with it, if anything."""
    if value is None:
        return "", Problem(_NOTHING, f"has no {column!r}")
    if not isinstance(value, str):
        return "", Problem("not text", f"{column!r} must be text, not {_shown(value)}")
    if _NO_TEXT.search(value):
        if _RAW_BYTE.search(value):
            return "", Problem("not UTF-8", f"{column!r} holds bytes that are not UTF-8")
        what = "holds a NUL or half a surrogate pair, which is no text"
        return "", Problem("not text", f"{column!r} {what}")
    text = value.strip()
    if not text or not (text.isascii() or normalize(text)):
        return "", Problem(_NOTHING, f"has no {column!r}")
    return text, None


def _shown(value: object) -> str:
    return json.dumps(value, default=str)[:40]


def _as_text(value: object) -> object:
    """Numbers and truth values as they are written in JSON, which knows no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _slice_value(value: object, column: str) -> tuple[str, Problem | None]:
    """A value on one line that a table can show, and what is wrong with it.

    Of a long one it is the beginning and a digest of the whole: others may begin like it.
    """
    if value is None or (isinstance(value, str) and not normalize(value)):
        return "", None
    text, problem = _text(_as_text(value), column)
    text = composed(" ".join(text.split()))
    if len(text) > _MOST_SLICE_CHARACTERS:
        mark = f"... ({digest(text, length=8)})"
        text = text[: _MOST_SLICE_CHARACTERS - len(mark)] + mark
    return text, problem


def _target(value: object, task: Task) -> tuple[str, Problem | None]:
    return _text(value, task.columns.output)


def _label(value: object, task: Task) -> tuple[str, Problem | None]:
    spelling, problem = _text(_as_text(value), task.columns.output)
    label = task.label_for(spelling)
    if problem or label is not None:
        return label or "", problem
    spellings = [s for label in task.labels for s in (label.name, *label.aliases)]
    return "", Problem(
        UNKNOWN_LABEL,
        f"the label {spelling[:40]!r} is not known{did_you_mean(spelling, spellings)} "
        f"(allowed: {list_names(spellings)})",
    )
