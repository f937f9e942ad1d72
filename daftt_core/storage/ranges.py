"""Parts of files: their checksums, reading one alone, and a journal of those on the disk."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

_BLOCK_BYTES = 2**20


class Mark(NamedTuple):
    """The mark of some content: size in bytes, and crc32c as base64 of its big-endian bytes."""

    size: int
    crc32c: str


def mark_of(path: Path) -> Mark:
    """Return the mark of a file."""
    from google_crc32c import Checksum

    checksum, size = Checksum(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum.update(block)
            size += len(block)
    return _mark(size, checksum)


def _mark(size: int, checksum: Any) -> Mark:
    return Mark(size, base64.b64encode(checksum.digest()).decode("ascii"))


def marks_of_parts(path: Path, part_bytes: int) -> tuple[Mark, list[Mark]]:
    """Return the mark of a file and those of its parts, from one reading.

    Args:
        path: The file.
        part_bytes: Bytes of each part but the last.
    """
    from google_crc32c import Checksum

    whole, size = Checksum(), 0
    parts: list[Mark] = []
    with path.open("rb") as file:
        while True:
            part, part_size = Checksum(), 0
            while block := file.read(min(_BLOCK_BYTES, part_bytes - part_size)):
                whole.update(block)
                part.update(block)
                part_size += len(block)
            if not part_size:
                return _mark(size, whole), parts
            size += part_size
            parts.append(_mark(part_size, part))


class Slice(io.RawIOBase):
    """A part of an open file, as if it were a file.

    Args:
        file: The whole file, for this slice alone.
        start: First byte of the part.
        size: Bytes of the part.
    """

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file, self._start, self._size = file, start, size
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in the part."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position in the part."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read bytes, up to the part's end."""
        left = max(0, self._size - self._position)
        self._file.seek(self._start + self._position)
        data = self._file.read(left if size < 0 else min(size, left))
        self._position += len(data)
        return data


class Journal:
    """A record of the complete ranges of files in a folder; it outlives the process.

    Args:
        folder: The folder of the files; the journal is a hidden file in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / ".ranges"
        self._lock = Lock()

    def start(self, path: Path, size: int, ranges: str) -> set[int]:
        """Allocate a file, and return the ranges that an earlier attempt completed.

        Args:
            path: The file.
            size: Its full size in bytes.
            ranges: The length of the ranges, and what else must be the same for them to fit
                together, such as the object's version; without a blank.

        Returns:
            The first byte of each complete range.
        """
        if not (path.is_file() and path.stat().st_size == size):
            self.forget(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.truncate(size)
            return set()
        name = path.relative_to(self._folder).as_posix()
        entries = (line.split(" ", 2) for line in self._lines())
        return {
            int(start) for kind, start, file_name in entries if (kind, file_name) == (ranges, name)
        }

    def add(self, path: Path, start: int, ranges: str) -> None:
        """Record a range that is complete."""
        line = f"{ranges} {start} {path.relative_to(self._folder).as_posix()}\n"
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line)

    def forget(self, path: Path) -> None:
        """Remove the ranges of a file from the record."""
        name = path.relative_to(self._folder).as_posix()
        lines = [line for line in self._lines() if line.split(" ", 2)[2] != name]
        if self._path.exists():
            self._path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def remove(self) -> None:
        """Remove the journal, once every file is whole."""
        self._path.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line.rstrip("\n") for line in lines if line.endswith("\n") and line.count(" ") >= 2]
