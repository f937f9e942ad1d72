"""Reads chosen columns of Parquet and Arrow files, a few thousand rows at a time.

``.arrow`` is Arrow's IPC format, either of its two forms; ``datasets`` keeps its data as the one of
them that is called a stream.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet

from daftt_core.data.rows import Fields, Mistakes
from daftt_core.errors import DataError
from daftt_core.records import composed

_ROWS = 4096  # held at once as Python values
_ARROW_FILE = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def read_columns(path: Path, columns: Sequence[str], mistakes: Mistakes) -> Fields:
    """Yield the fields of every row of a ``.parquet`` or ``.arrow`` file, with its number.

    Args:
        path: The file.
        columns: The columns to read.
        mistakes: Names the file in messages.

    Raises:
        DataError: It is not such a file, is damaged, or lacks a column.
        OSError: It cannot be opened.
    """
    batches = _parquet if path.suffix.lower() == ".parquet" else _arrow
    number = 0
    with path.open("rb") as file:
        try:
            for arrays in batches(file, columns, mistakes):
                values = [_values(array) for array in arrays]
                for row in zip(*values, strict=True):
                    number += 1
                    yield number, dict(zip(columns, row, strict=True))
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # no year 10,000
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{mistakes.file}: cannot be read as {path.suffix.lower()}: {reason}"
            ) from None


def _parquet(file: Any, columns: Sequence[str], mistakes: Mistakes) -> Iterator[list[pa.Array]]:
    content = parquet.ParquetFile(file)
    names = _names(content.schema_arrow, columns, mistakes)
    for batch in content.iter_batches(batch_size=_ROWS, columns=names):
        yield [batch.column(name) for name in names]


def _arrow(file: Any, columns: Sequence[str], mistakes: Mistakes) -> Iterator[list[pa.Array]]:
    start = file.read(len(_ARROW_FILE))
    file.seek(0)
    if start == _ARROW_FILE:
        content = pa.ipc.open_file(file)
        batches = (content.get_batch(n) for n in range(content.num_record_batches))
    else:
        _check_end(file, mistakes)
        batches = content = pa.ipc.open_stream(file)
    names = _names(content.schema, columns, mistakes)
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            yield [part.column(name) for name in names]


def _names(schema: pa.Schema, columns: Sequence[str], mistakes: Mistakes) -> list[str]:
    """Return the columns as the file spells them."""
    known = [composed(name) for name in schema.names]
    mistakes.check_columns(known, columns)
    return [schema.names[known.index(name)] for name in columns]


def _check_end(file: Any, mistakes: Mistakes) -> None:
    """Refuse a stream that was cut between two batches: it reads like a shorter one."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - len(_END_OF_STREAM)))
    end = file.read()
    file.seek(0)
    if size > len(_END_OF_STREAM) and end != _END_OF_STREAM:
        raise DataError(
            f"{mistakes.file}: is an Arrow stream without its end mark, so rows may be missing; "
            "write it again"
        )


def _values(column: pa.Array) -> list[Any]:
    """Return a column's values; bytes that are not UTF-8 become surrogates, found in their row."""
    if pa.types.is_floating(column.type):  # pandas writes NaN where there is no number
        column = compute.if_else(compute.is_nan(column), pa.scalar(None, column.type), column)
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        values = column.cast(pa.large_binary()).to_pylist()
        return [
            None if value is None else value.decode("utf-8", "surrogateescape") for value in values
        ]
