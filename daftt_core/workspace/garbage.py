"""Garbage collection: objects in a run's storage that nothing refers to any more.

A stage that is rebuilt leaves the files of its old result; a writer that was killed or came second
leaves its own, and a machine that was lost at a stage's end leaves its stored progress. None of it
is read again. Young objects stay, because somebody may still be using them. A local run has only
unfinished files as garbage, and locks tell whether somebody is writing them.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from daftt_core.records import stale_partials
from daftt_core.stages import DEPTH
from daftt_core.storage import MANIFEST, Entry, RemoteFolder, Storage

_CONTENT = re.compile(r"(\.progress/)?([^./][^/]*(?:/[^./][^/]*)??)/([0-9a-f]{16})/.+")
"""``<stage>/<digest>/<file>``, or ``.progress/<stage>/<key>/<piece>``."""


def find_leftovers(storage: Storage, older_than_seconds: float) -> dict[str, Entry]:
    """Return the objects of a run that may be removed, by name.

    Args:
        storage: The run's storage. Where objects are files on this machine, only files are
            returned that a process was writing when it was killed.
        older_than_seconds: Objects that were written to a bucket, or replaced there by another
            result, within this time stay.

    Raises:
        StorageError: The storage or one of its manifests cannot be read.
    """
    if storage.folder is not None:
        return _unwritten(storage.folder)
    entries = storage.entries("")
    used = _used(storage, entries)
    unused = {
        name: match.groups()
        for name in entries
        if name not in used and (match := _CONTENT.fullmatch(name))
    }
    newest: dict[tuple[str, ...], float] = {}
    for name, group in unused.items():
        newest[group] = max(newest.get(group, 0.0), entries[name].modified)
    latest = time.time() - older_than_seconds
    return {
        name: entries[name]
        for name, group in unused.items()
        if _is_garbage(group, newest[group], latest, entries)
    }


def _unwritten(folder: Path) -> dict[str, Entry]:
    statuses = {path: path.lstat() for path in stale_partials(folder) if path.is_file()}
    return {
        path.relative_to(folder).as_posix(): Entry(status.st_size, status.st_mtime)
        for path, status in sorted(statuses.items())
    }


def _used(storage: Storage, entries: dict[str, Entry]) -> set[str]:
    """Return every object that a stage's manifest lists."""
    used = set()
    for name in entries:
        if name.endswith(f"/{MANIFEST}") and name.count("/") <= DEPTH:
            stage = name.removesuffix(f"/{MANIFEST}")
            manifest = RemoteFolder(storage, stage).manifest()
            if manifest is not None:
                used |= {f"{stage}/{manifest.digest}/{file.name}" for file in manifest.files}
    return used


def _is_garbage(
    group: tuple[str, ...], written: float, latest: float, entries: dict[str, Entry]
) -> bool:
    is_progress, stage, _ = group
    committed = entries.get(f"{stage}/{MANIFEST}")
    if is_progress and (committed is None or committed.modified < written):
        return False  # of a stage that is not finished
    return max(written, committed.modified if committed else 0.0) < latest
