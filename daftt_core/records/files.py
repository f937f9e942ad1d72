"""Files and folders that appear complete or not at all, and what a writer that was killed leaves.

What is being written is called ``.<name>.<process>-<random>.partial``, beside where it will be. Its
writer holds a lock on it, which goes with the process, however that ends. So what nobody holds and
no process of its number writes is stale, and the next writer of the same name removes it.
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

_PARTIAL = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]+)(-[0-9a-f]+)?\.partial", re.DOTALL)


@contextmanager
def appearing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """A file or folder to fill, empty at first, that is moved to ``path`` once the block ends well.

    Args:
        path: Where it goes. A file there is replaced; a folder there must be empty.
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


def write_text(path: Path, text: str) -> None:
    """Write a file that appears complete or not at all."""
    with appearing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def link_file(source: Path, target: Path) -> None:
    """Have a finished file under a second name too, in place of what has that name.

    It costs no room where the file system has links, so neither may be written again.
    """
    with appearing(target) as partial:
        partial.unlink()  # a link is made under a free name
        try:
            partial.hardlink_to(source)
        except OSError:  # a file system without links
            shutil.copyfile(source, partial)


def stale_partials(folder: Path) -> list[Path]:
    """What writers that were killed have left in a folder and in those below it."""
    return _stale(folder.rglob(".*.partial"))


def remove_stale(partials: Iterable[Path]) -> None:
    """Remove files and folders; one that cannot be removed stays."""
    for path in partials:
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _stale(paths: Iterable[Path], name: str | None = None) -> list[Path]:
    """Of some paths what was being written under a name, or any name, and never will be."""
    return [
        path
        for path in paths
        if (form := _PARTIAL.fullmatch(path.name))
        and name in (None, form["name"])
        and not _is_written(path, int(form["process"]))
    ]


def _is_written(path: Path, process: int) -> bool:
    """Whether a living writer may have it: here, or where the same file system is seen."""
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
    """A descriptor for locking; some file systems lock only what may be written."""
    folder = path.is_dir() and not path.is_symlink()
    return os.open(path, (os.O_RDONLY if folder else os.O_RDWR) | os.O_NOFOLLOW | os.O_CLOEXEC)
