"""``file://`` and plain paths: objects are files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from daftt_core.errors import BusyError, StorageError
from daftt_core.records import appearing
from daftt_core.storage.local import check_writable, local_folder
from daftt_core.storage.locks import exclusively
from daftt_core.storage.protocol import NOTHING, Content, Entry

__all__ = ["FileStorage"]


class FileStorage:
    """Objects as files under a folder.

    Args:
        uri: The folder, as a path or ``file://`` URI.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._folder = local_folder(uri)

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self._folder

    def read(self, name: str) -> Content | None:
        """A small object; None where there is no such object."""
        with _explained(self._folder / name):
            try:
                with (self._folder / name).open("rb") as file:
                    return Content(file.read(), _version(os.fstat(file.fileno())))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes, replaces: str | None = None) -> None:
        """Write a small object under a lock, by moving a complete file into place."""
        path = self._folder / name
        lock = self._folder / ".locks" / f"{name.replace('/', '-')}.write.lock"
        with exclusively(lock, name), _explained(path):
            found = _version(path.stat()) if path.exists() else NOTHING
            if replaces is not None and found != replaces:
                raise BusyError(f"{path}: was written by another process meanwhile")
            with appearing(path) as partial:
                partial.write_bytes(data)

    def entries(self, prefix: str) -> dict[str, Entry]:
        """Every file whose path below the folder begins with ``prefix``."""
        start = self._folder / prefix.rpartition("/")[0]
        with _explained(start):
            found = {
                path.relative_to(self._folder).as_posix(): path.stat()
                for path in start.rglob("*")
                if path.is_file()
            }
        return {
            name: Entry(status.st_size, status.st_mtime)
            for name, status in sorted(found.items())
            if name.startswith(prefix) and not name.startswith(".locks/")
        }

    def folders(self) -> list[str]:
        """The folders in it."""
        if not self._folder.is_dir():
            return []
        with _explained(self._folder):
            return sorted(path.name for path in self._folder.iterdir() if path.is_dir())

    def upload(self, folder: Path, names: Sequence[str], prefix: str) -> None:
        """Copy files to ``<prefix><name>``."""
        for name in names:
            _copy(folder / name, self._folder / f"{prefix}{name}")

    def download(self, prefix: str, sizes: Mapping[str, int], folder: Path) -> None:
        """Copy files out."""
        for name in sizes:
            _copy(self._folder / f"{prefix}{name}", folder / name)

    def delete(self, names: Iterable[str]) -> None:
        """Remove files."""
        for name in names:
            with _explained(self._folder / name):
                (self._folder / name).unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Make a temporary file in the folder."""
        check_writable(self._folder, needed_bytes=0)


def _copy(source: Path, target: Path) -> None:
    with _explained(source), appearing(target) as partial:
        shutil.copyfile(source, partial)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(f"{error.filename or path}: there is no such file") from error
    except OSError as error:
        raise StorageError(f"{error.filename or path}: {error.strerror or error}") from error


def _version(status: os.stat_result) -> str:
    return f"{status.st_ino}-{status.st_mtime_ns}"
