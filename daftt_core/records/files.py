"""Files and folders that appear complete or not at all, and the leftovers of killed writers.

A file is written as ``.<name>.<process>-<random>.partial``, beside its final place. Its writer
holds a lock on it, which ends with the process. So a partial file that nobody holds, and whose
process is gone, is stale, and the next writer of the same name removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_writing: set[Path] = set()  # by threads of this process, which may not hold their locks yet

_PARTIAL = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]+)(-[0-9a-f]+)?\.partial", re.DOTALL)


@contextmanager
def appearing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Give an empty file or folder to fill, and move it to ``path`` once the block ends well.

    Args:
        path: Its final place. A file there is replaced; a folder there must be empty.
        folder: Whether it is a folder.

    Raises:
        OSError: It cannot be written or moved.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path.parent) from None
    remove_stale(_stale(path.parent.iterdir(), path.name))
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    _writing.add(partial)
    try:
        partial.mkdir() if folder else partial.touch(exist_ok=False)
        lock = _open(partial)
        try:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield partial
            partial.replace(path)
        finally:
            os.close(lock)
            remove_stale([partial])
    finally:
        _writing.discard(partial)


def write_text(path: Path, text: str) -> None:
    """Write a file that appears complete or not at all."""
    with appearing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def link_file(source: Path, target: Path) -> None:
    """Give a finished file a second name, in place of any file of that name.

    It takes no space where the file system has links, so neither may be written again.
    """
    with appearing(target) as partial:
        partial.unlink()  # a link is made under a free name
        try:
            partial.hardlink_to(source)
        except OSError:  # a file system without links
            shutil.copyfile(source, partial)


def stale_partials(folder: Path) -> list[Path]:
    """Return the leftovers of killed writers in a folder and in those below it."""
    return _stale(folder.rglob(".*.partial"))


def remove_stale(partials: Iterable[Path]) -> None:
    """Remove files and folders; leave those that cannot be removed."""
    for path in partials:
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _stale(paths: Iterable[Path], name: str | None = None) -> list[Path]:
    """Return the paths that are stale partial files of a name, or of any name."""
    return [
        path
        for path in paths
        if (match := _PARTIAL.fullmatch(path.name))
        and name in (None, match["name"])
        and not _is_written(path, int(match["process"]))
    ]


def _is_written(path: Path, process: int) -> bool:
    """Return whether a living writer may hold it, here or on a machine with the same files."""
    if path in _writing:
        return True
    if process != os.getpid() and _lives(process):  # an older version holds no lock
        return True
    try:
        lock = _open(path)
    except OSError:
        return not path.is_symlink()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _open(path: Path) -> int:
    """Return a descriptor for locking; some file systems lock only files that may be written."""
    is_folder = path.is_dir() and not path.is_symlink()
    return os.open(path, (os.O_RDONLY if is_folder else os.O_RDWR) | os.O_NOFOLLOW | os.O_CLOEXEC)
