"""A look at a file of examples whose task is not described yet."""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from pathlib import Path

from daftt_core.data.files import read_file
from daftt_core.data.json_files import read_json_file
from daftt_core.data.locate import DataFile
from daftt_core.data.rows import Fields, Mistakes, unit_of
from daftt_core.data.sni import parse_task
from daftt_core.data.text_files import read_lines
from daftt_core.errors import DataError
from daftt_core.tasks import Task
from daftt_core.telemetry import log

_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
_MOST_ROWS = 100_000


def look_at(path: Path) -> dict[str, list[str]]:
    """The first 100,000 rows of a file, by column, read as strictly as a run reads them.

    Args:
        path: A ``.csv``, ``.tsv``, ``.jsonl`` or ``.json`` file.

    Returns:
        The values of each column as text, as a run reads that of a label; JSON's null is empty, and
        so is what a row lacks.

    Raises:
        DataError: The file cannot be used, or has no rows; names up to ten rows and what is wrong.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(f"{path}: its name must end in {', '.join(_SUFFIXES)}")
    mistakes = Mistakes(str(path), unit=unit_of(path.name))

    def read_task(content: bytes) -> Fields:
        for number, instance in enumerate(parse_task(content, str(path)).instances, start=1):
            for output in instance.output or [""]:
                yield number, {"input": instance.input, "output": output}

    try:
        if path.suffix.lower() == ".json":
            read = read_json_file(path, (), mistakes, (), read_task)
        else:
            read = read_lines(path, (), mistakes)
        rows = [
            {name: _text(value) for name, value in fields.items()}
            for _, fields in itertools.islice(read, _MOST_ROWS)
        ]
        if next(read, None):
            log.info("%s: looked at its first %d rows", path, _MOST_ROWS)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    mistakes.check()
    names = dict.fromkeys(name for row in rows for name in row if name.strip())
    if not names:
        raise DataError(f"{path}: has no rows with columns")
    return {name: [row.get(name, "") for row in rows] for name in names}


def try_reading(path: Path, task: Task) -> None:
    """Read the rows that were looked at as a run reads its ``data_train``.

    Raises:
        DataError: The task cannot read them; names up to ten rows and what is wrong.
    """
    rows = read_file(
        DataFile(str(path), path),
        task,
        "--data",
        Counter(),
        with_output=True,
        strict=True,
        may_lack_output=True,
    )
    deque(itertools.islice(rows, _MOST_ROWS), maxlen=0)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
