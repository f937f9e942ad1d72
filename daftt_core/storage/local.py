"""Local folders and files as storage."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from daftt_core.errors import StorageError

__all__ = ["check_writable", "local_folder"]


def local_folder(uri: str) -> Path:
    """The folder that a path or ``file://`` URI names.

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
        folder: Where the run will go; created if missing.
        needed_bytes: Space that the run wants; what the folder holds already is part of it.

    Raises:
        StorageError: The folder cannot be created or written, or lacks free space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror}") from None
    wanted = needed_bytes - _held_bytes(folder)
    if free < wanted:
        raise StorageError(
            f"{folder}: {free / 1e9:.1f} GB are free and the run needs {wanted / 1e9:.1f} GB; "
            "free some space or choose another folder with --output"
        )


def _held_bytes(folder: Path) -> int:
    held = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # another process has just removed it
                held += Path(parent, name).lstat().st_size
    return held
