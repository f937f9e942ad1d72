"""Caches on this machine: folders that are made once, and fetched content of a bounded size.

    <cache>/<digest>/            complete content, with its manifest
    <cache>/.<digest>.partial/   being fetched; resumed after a kill
    <cache>/.locks/              one process at a time fetches a digest; its users hold it

Content that no living process uses is removed first, the longest unused before the others.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daftt_core.errors import StorageError
from daftt_core.storage.local import exclusively
from daftt_core.storage.manifest import (
    Manifest,
    commit,
    differing,
    read_manifest,
    sound_manifest,
    unlisted,
    write_manifest,
)
from daftt_core.telemetry import log

_held: dict[Path, int] = {}  # open lock files of content in use; they close with this process


def cache_folder() -> Path:
    """Return the folder of what this machine keeps: ``DAFTT_CACHE``, or ``~/.cache/daftt``."""
    return Path(os.environ.get("DAFTT_CACHE") or "~/.cache/daftt").expanduser()


def make_once(
    folder: Path, key: str, again: str, make: Callable[[Path], None], summary: Mapping[str, Any]
) -> Path:
    """Return a folder in a cache; make it first, unless it is there and whole.

    Args:
        folder: The folder.
        key: Changes with everything that the folder is made from.
        again: What is done about a damaged folder, such as ``converting it again``.
        make: Makes the folder, which does not exist.
        summary: The summary for its manifest.

    Raises:
        StorageError: The folder cannot be written, or whatever ``make`` raises.
    """
    if sound_manifest(folder, again, key) is not None:  # also in a cache that cannot be written
        return folder
    with (
        explained(folder),
        exclusively(folder.parent / ".locks" / f"{folder.name}.lock", folder.name),
    ):
        if sound_manifest(folder, again, key) is None:
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            commit(folder, key, dict(summary))
    return folder


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn a failure to write in a folder of the cache into one sentence.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{error.filename or folder}: {error.strerror or error}; set DAFTT_CACHE to a folder "
            "with free space that can be written"
        ) from error


class Cache:
    """A folder of content by digest, of a bounded size.

    Args:
        folder: The folder.
        limit_bytes: Its largest size. Content in use stays even beyond that.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes

    def obtain(self, manifest: Manifest, fill: Callable[[Path], None]) -> Path:
        """Return the folder with this content; it stays as long as this process lives.

        Args:
            manifest: The content.
            fill: Puts it into a folder, in which an interrupted attempt may have left files.

        Raises:
            StorageError: The cache cannot be written, or whatever ``fill`` raises.
        """
        digest = manifest.digest
        lock = self._folder / ".locks" / f"{digest}.lock"
        with explained(self._folder):
            self._hold(digest)
            with exclusively(lock, f"download of {digest}"):
                ready = self._folder / digest
                if not self._is_whole(ready, digest):
                    self._fill(ready, manifest, fill)
                os.utime(ready)
        return ready

    def _fill(self, ready: Path, manifest: Manifest, fill: Callable[[Path], None]) -> None:
        shutil.rmtree(ready, ignore_errors=True)
        partial = self._folder / f".{manifest.digest}.partial"
        self._make_room(sum(file.size for file in manifest.files))
        partial.mkdir(parents=True, exist_ok=True)
        fill(partial)
        for name in unlisted(partial, manifest):
            (partial / name).unlink()
        write_manifest(partial, manifest)
        partial.replace(ready)

    def _is_whole(self, folder: Path, digest: str) -> bool:
        try:
            manifest = read_manifest(folder)
        except StorageError:
            manifest = None
        if manifest is None or manifest.digest != digest:
            return False
        changed = differing(folder, manifest) + unlisted(folder, manifest)
        if changed:
            log.warning("%s: was changed; it is fetched again", folder / changed[0])
        return not changed

    def _lock(self, digest: str) -> int:
        path = self._folder / ".locks" / f"{digest}.use"
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def _hold(self, digest: str) -> None:
        path = self._folder / digest
        if path not in _held:
            lock = self._lock(digest)
            fcntl.flock(lock, fcntl.LOCK_SH)
            _held[path] = lock

    def _make_room(self, needed_bytes: int) -> None:
        """Remove unused content, the longest unused first, until ``needed_bytes`` fit."""
        folders = {_digest(path): path for path in self._folder.iterdir() if _digest(path)}
        sizes = {digest: _size(path) for digest, path in folders.items()}
        excess = sum(sizes.values()) + needed_bytes - self._limit_bytes
        for digest, path in sorted(folders.items(), key=lambda item: item[1].stat().st_mtime):
            if excess > 0 and self._remove(digest, path):
                excess -= sizes[digest]
        if excess > 0:
            log.warning(
                "%s: holds %.1f GB more than its limit, all of it in use",
                self._folder,
                excess / 1e9,
            )

    def _remove(self, digest: str, path: Path) -> bool:
        lock = self._lock(digest)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True


def _digest(path: Path) -> str:
    """Return the digest whose content, whole or partial, a folder of the cache holds."""
    name = path.name.removeprefix(".").removesuffix(".partial")
    return "" if name == "locks" or not path.is_dir() else name


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
