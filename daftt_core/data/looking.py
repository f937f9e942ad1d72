"""A look at a file of examples whose task is not described yet."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

from daftt_core.data.rows import Mistakes
from daftt_core.data.text_files import read_lines
from daftt_core.errors import DataError
from daftt_core.progress import log

__all__ = ["look_at"]

_SUFFIXES = (".csv", ".tsv", ".jsonl")
_MOST_ROWS = 100_000


def look_at(path: Path) -> dict[str, list[str]]:
    """The first 100,000 rows of a file, by column, read as strictly as a run reads them.

    Args:
        path: A ``.csv``, ``.tsv`` or ``.jsonl`` file.

    Returns:
        The values of each column that holds text, numbers or truth values; a row that lacks one
        counts as empty there.

    Raises:
        DataError: The file cannot be used, or has no rows; names up to ten rows and what is wrong.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(f"{path}: its name must end in {', '.join(_SUFFIXES)}")
    mistakes = Mistakes(str(path))
    try:
        read = read_lines(path, (), mistakes)
        rows = [_texts(fields) for _, fields in itertools.islice(read, _MOST_ROWS)]
        if next(read, None):
            log.info("%s: looked at its first %d rows", path, _MOST_ROWS)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    mistakes.check()
    names = dict.fromkeys(name for row in rows for name in row if name)
    if not names:
        raise DataError(f"{path}: has no rows with columns")
    return {name: [row.get(name, "") for row in rows] for name in names}


def _texts(fields: Mapping[str, object]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if isinstance(value, str | bool | int | float)
    }
