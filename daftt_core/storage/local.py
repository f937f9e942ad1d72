"""``file://`` and plain paths: a storage whose objects are files, and locks between processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from daftt_core.errors import BusyError, StorageError
from daftt_core.records import appearing
from daftt_core.storage.protocol import NOTHING, Content, Entry
from daftt_core.telemetry import log


def local_folder(uri: str) -> Path:
    """Return the folder that a path or ``file://`` URI names.

    Raises:
        StorageError: The URI has another scheme; :func:`open_storage` knows more of them.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri).expanduser()
    if scheme != "file":
        raise StorageError(
            f"{uri}: the scheme {scheme!r} is not known as a folder on this machine (only file is)"
        )
    return Path(rest)


def check_writable(folder: Path, needed_bytes: int) -> None:
    """Make sure a run can be stored before anything is computed.

    Args:
        folder: The run's folder; created if missing.
        needed_bytes: Space that the run needs, including the folder's present content.

    Raises:
        StorageError: The folder cannot be created or written, or lacks free space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror}") from None
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # another process has just removed it
                needed_bytes -= Path(parent, name).lstat().st_size
    if free < needed_bytes:
        raise StorageError(
            f"{folder}: {free / 1e9:.1f} GB are free and the run needs {needed_bytes / 1e9:.1f} GB;"
            " free some space or choose another folder with --output"
        )


@contextmanager
def exclusively(path: Path, what: str) -> Iterator[None]:
    """Run the block while no other process runs one with the same lock; wait until then.

    Args:
        path: The lock file; it stays. The lock ends with the process.
        what: The work, for the log while waiting.

    Raises:
        StorageError: The lock file cannot be created.
    """
    from filelock import FileLock, Timeout  # not for those who only read

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("%s: another process is working on it; waiting for it to finish", what)
            lock.acquire()
    except OSError as error:
        raise StorageError(f"{path}: cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


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
        """Return the folder itself."""
        return self._folder

    def read(self, name: str) -> Content | None:
        """Return a small object; None where there is no such object."""
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
            version = _version(path.stat()) if path.exists() else NOTHING
            if replaces is not None and version != replaces:
                raise BusyError(f"{path}: was written by another process meanwhile")
            with appearing(path) as partial:
                partial.write_bytes(data)

    def entries(self, prefix: str) -> dict[str, Entry]:
        """Return every file whose path below the folder begins with ``prefix``."""
        start = self._folder / prefix.rpartition("/")[0]
        with _explained(start):
            statuses = {
                path.relative_to(self._folder).as_posix(): path.stat()
                for path in start.rglob("*")
                if path.is_file()
            }
        return {
            name: Entry(status.st_size, status.st_mtime)
            for name, status in sorted(statuses.items())
            if name.startswith(prefix) and not name.startswith(".locks/")
        }

    def folders(self) -> list[str]:
        """Return the folders in it."""
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
