"""The lines of text files, decoded."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from daftt_core.data.rows import Mistakes
from daftt_core.errors import DataError

# A file without line ends would be read into memory whole.
_MOST_LINE_BYTES = 2**26
_SAVE = (
    "save it as UTF-8, which a spreadsheet offers where it saves CSV "
    "({}iconv -f {} -t UTF-8 OLD > NEW)"
)
SAVE_AS_UTF8 = _SAVE.format("of a file from Windows: ", "WINDOWS-1252")
_FROM_UTF16 = _SAVE.format("or: ", "UTF-16")


def decode_lines(path: Path, mistakes: Mistakes) -> Iterator[str]:
    """Each line with its end; where files were joined, byte order marks are left out.

    Args:
        path: The file.
        mistakes: Says whether bytes that are not UTF-8 are a mistake; if not, they become
            surrogates, to be seen where a text holds them.

    Raises:
        DataError: The file is no UTF-8, or a line has no end.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        lines = iter(partial(file.readline, _MOST_LINE_BYTES + 1), b"")
        for number, raw in enumerate(lines, start=1):
            if len(raw) > _MOST_LINE_BYTES:
                raise DataError(
                    f"{mistakes.file}, line {number}: is longer than {_MOST_LINE_BYTES >> 20} MiB; "
                    "a row must end with a line break"
                )
            line = raw.removeprefix(codecs.BOM_UTF8)
            if number == 1:
                refuse_utf16(line, mistakes)
            if not mistakes.strict:
                yield line.decode("utf-8", "surrogateescape")
                continue
            where = f"{mistakes.file}, line {number}"
            if b"\0" in line:
                raise DataError(f"{where}: holds a NUL byte; the file must be plain UTF-8 text")
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{where}: byte {error.start + 1} ({line[error.start]:#04x}) is not UTF-8; "
                    f"{SAVE_AS_UTF8}"
                ) from None


def refuse_utf16(begin: bytes, mistakes: Mistakes) -> None:
    """Stop if a file begins as one of UTF-16 does.

    Raises:
        DataError: It does.
    """
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{mistakes.file}: is UTF-16; {_FROM_UTF16}")
