"""What is left in a run's storage that nothing refers to any more.

A stage that is made anew leaves the files of its old result; a writer that was killed or came
second leaves its own, and a machine that was lost at a stage's end leaves what was kept meanwhile.
None of it is read again. Somebody may still be at work with what is young, so that stays. On this
machine only unfinished files are left, and whether somebody writes one of them is known.
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
    """The objects of a run that may be removed, by name.

    Args:
        storage: The run's. Where objects are files on this machine, only files are left over that
            a process was writing when it was killed.
        older_than_seconds: What was written to a bucket, or replaced there by another result,
            since then stays.

    Raises:
        StorageError: The storage or one of its manifests cannot be read.
    """
    if storage.folder is not None:
        return _unwritten(storage.folder)
    there = storage.entries("")
    used = _used(storage, there)
    unused = {
        name: found.groups()
        for name in there
        if name not in used and (found := _CONTENT.fullmatch(name))
    }
    newest: dict[tuple[str, ...], float] = {}
    for name, group in unused.items():
        newest[group] = max(newest.get(group, 0.0), there[name].modified)
    latest = time.time() - older_than_seconds
    doomed = {group for group, written in newest.items() if _is_over(group, written, latest, there)}
    return {name: there[name] for name, group in unused.items() if group in doomed}


def _unwritten(folder: Path) -> dict[str, Entry]:
    there = {path: path.lstat() for path in stale_partials(folder) if path.is_file()}
    return {
        path.relative_to(folder).as_posix(): Entry(status.st_size, status.st_mtime)
        for path, status in sorted(there.items())
    }


def _used(storage: Storage, there: dict[str, Entry]) -> set[str]:
    """Every object that a stage's manifest lists."""
    used = set()
    for name in there:
        if name.endswith(f"/{MANIFEST}") and name.count("/") <= DEPTH:
            stage = name.removesuffix(f"/{MANIFEST}")
            manifest = RemoteFolder(storage, stage).manifest()
            if manifest is not None:
                used |= {f"{stage}/{manifest.digest}/{file.name}" for file in manifest.files}
    return used


def _is_over(
    group: tuple[str, ...], written: float, latest: float, there: dict[str, Entry]
) -> bool:
    is_progress, stage, _ = group
    committed = there.get(f"{stage}/{MANIFEST}")
    if is_progress and (committed is None or committed.modified < written):
        return False  # of a stage that is not finished
    return max(written, committed.modified if committed else 0.0) < latest
