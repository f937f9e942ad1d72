"""Model folders that are made on this machine, once, and then kept in the cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from daftt_core.errors import StorageError
from daftt_core.storage import commit, sound_manifest


def make_once(
    folder: Path, key: str, again: str, make: Callable[[Path], None], summary: Mapping[str, Any]
) -> Path:
    """A folder in the cache; made now unless it was before and is whole.

    Args:
        folder: Where it is.
        key: Changes with what it is made from.
        again: What happens where it is damaged, such as ``converting it again``.
        make: Makes it, where there is nothing.
        summary: What its manifest says of it.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if sound_manifest(folder, again, key) is None:
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                commit(folder, key, dict(summary))
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder}: {error.strerror or error}; "
            "set DAFTT_CACHE to a folder with free space that can be written"
        ) from error
    return folder
