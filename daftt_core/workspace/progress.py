"""Progress of an unfinished stage of a remote run, stored so that another machine can resume it.

A stage calls :func:`keep` for each finished file, and for each folder with a manifest; that returns
at once, and does nothing in a run on this machine. A thread stores them in that order. Where that
fails, a warning is logged and the work continues. A stage that starts finds in its folder what
another machine stored under the same key. All of it is removed once the stage is committed.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from daftt_core.errors import BusyError, StorageError
from daftt_core.storage import Manifest, Storage, read_manifest
from daftt_core.telemetry import log
from daftt_core.workspace.progress_store import ProgressStore

PROGRESS = ".progress"
_HELD = ".keeping"
_WAIT_SECONDS = 600.0
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Machine:
    """One of the machines that work on a stage together, each with a part of every folder.

    Attributes:
        number: Its number, from 0.
        count: Number of machines.
        attempt: Name of their common attempt; each restart has another.
    """

    number: int = 0
    count: int = 1
    attempt: str = ""


ALONE = Machine()


def keep(path: Path) -> None:
    """Store a finished piece of the current stage in the background.

    Args:
        path: A finished file, or a folder with a manifest, in the stage's folder. A folder that
            is removed later is removed from the storage too, once a folder is stored that was kept
            after that: what took its place is stored by then.
    """
    keeper = _keeper.get()
    if keeper is not None:
        keeper.keep(path)


@contextmanager
def keeping(
    storage: Storage, stage: str, key: str, folder: Path, machine: Machine = ALONE
) -> Iterator[None]:
    """Restore the stored progress of a stage, and store the pieces that the block keeps.

    When the block fails, its pieces are still stored, for ten minutes at most; when it succeeds
    there is no need to.

    Args:
        storage: The run's storage; nothing is stored where it is a folder on this machine.
        stage: The stage.
        key: Digest of the stage's inputs; progress under another key is removed.
        folder: The folder in which the stage is worked on.
        machine: This machine, where several work on the stage.

    Raises:
        StorageError: Progress is stored, but cannot be fetched.
    """
    if storage.folder is not None:
        yield
        return
    if machine.number == 0:
        forget(storage, stage, except_key=key)
    keeper = _Keeper(storage, f"{PROGRESS}/{stage}/{key}", folder, machine)
    keeper.start()
    token = _keeper.set(keeper)
    try:
        yield
        keeper.drop()
    finally:
        _keeper.reset(token)
        keeper.close()


def forget(storage: Storage, stage: str, except_key: str = "") -> None:
    """Remove the stored progress of a stage; log a warning where that fails.

    Args:
        storage: The run's storage.
        stage: The stage.
        except_key: Progress under this key stays.
    """
    prefix = f"{PROGRESS}/{stage}/"
    try:
        storage.delete(
            name
            for name in storage.entries(prefix)
            if name.removeprefix(prefix).split("/")[0] != except_key
        )
    except StorageError as error:
        log.warning("%s; the progress of an unfinished stage stays there", error)


@dataclass(frozen=True)
class _File:
    """A file to store, by its name in the stage's folder."""

    name: str
    path: Path


@dataclass(frozen=True)
class _Folder:
    """A folder to store.

    Attributes:
        name: Its name in the stage's folder.
        path: Where its files are until they are stored.
        manifest: Its manifest.
        removed: Folders that had been removed when it was kept.
    """

    name: str
    path: Path
    manifest: Manifest
    removed: set[str]


class _Keeper:
    """A thread that stores the pieces of one stage, one after the other."""

    def __init__(self, storage: Storage, base: str, folder: Path, machine: Machine) -> None:
        self._store = ProgressStore(storage, base, machine.attempt)
        self._folder, self._machine = folder, machine
        self._queue: SimpleQueue[_File | _Folder | None] = SimpleQueue()
        self._dropped = threading.Event()
        self._folders: set[str] = set()  # those that are or will be stored, as far as they exist
        self._held = 0
        context = copy_context()  # what it stores counts as the stage's
        self._thread = threading.Thread(
            target=context.run, args=(self._store_all,), name="keeper", daemon=True
        )

    def start(self) -> None:
        """Fetch the pieces that the folder lacks, and start the thread."""
        shutil.rmtree(self._folder / _HELD, ignore_errors=True)
        self._folders = self._store.restore(self._folder)
        self._thread.start()

    def keep(self, path: Path) -> None:
        """Put a piece into the queue."""
        name = path.relative_to(self._folder).as_posix()
        if not path.is_dir():
            self._queue.put(_File(name, path))
            return
        manifest = read_manifest(path)
        if manifest is None:
            raise ValueError(f"{path}: has no manifest, so it is not finished")
        removed = {old for old in self._folders if not (self._folder / old).exists()}
        self._folders = self._folders - removed | {name}
        self._queue.put(_Folder(name, self._hold(path, manifest), manifest, removed))

    def drop(self) -> None:
        """Store no further pieces after the current one."""
        self._dropped.set()

    def close(self) -> None:
        """Wait until the pieces are stored, but not for ever."""
        if not self._queue.empty() and not self._dropped.is_set():
            log.info("%s: storing the progress so far", self._store.uri)
        self._queue.put(None)
        self._thread.join(_WAIT_SECONDS)
        if self._thread.is_alive():
            log.warning("%s: not all of it could be stored in time", self._store.uri)
        else:
            shutil.rmtree(self._folder / _HELD, ignore_errors=True)

    def _hold(self, path: Path, manifest: Manifest) -> Path:
        """Give each file of a folder a second name: it may be removed before it is stored."""
        self._held += 1
        held = self._folder / _HELD / str(self._held)
        try:
            for file in manifest.files:
                (held / file.name).parent.mkdir(parents=True, exist_ok=True)
                os.link(path / file.name, held / file.name)
        except OSError as error:  # not every file system has links
            log.debug("%s: %s; stored from where it is", held, error)
            shutil.rmtree(held, ignore_errors=True)
            return path
        return held

    def _store_all(self) -> None:
        while (piece := self._queue.get()) is not None:
            if not self._dropped.is_set():
                self._store_piece(piece)

    def _store_piece(self, piece: _File | _Folder) -> None:
        try:
            if isinstance(piece, _File):
                self._store.store_file(piece.name, piece.path)
            else:
                self._store_folder(piece)
        except BusyError:
            log.debug("%s: another machine at the same work has stored it", piece.name)
        except (OSError, StorageError) as error:
            log.warning("%s; the work continues, but %s is on this machine only", error, piece.name)
        finally:
            if piece.path.is_relative_to(self._folder / _HELD):
                shutil.rmtree(piece.path, ignore_errors=True)

    def _store_folder(self, piece: _Folder) -> None:
        self._store.store_content(piece.name, piece.path, piece.manifest)
        if self._machine.number != 0:
            self._store.write_part(piece.name, self._machine.number, piece.manifest)
            return
        further_parts = self._further_parts(piece.name)
        if further_parts is None:
            return
        self._store.commit(piece.name, (piece.manifest, *further_parts))
        for old in piece.removed:
            self._store.remove(old)

    def _further_parts(self, name: str) -> list[Manifest] | None:
        """Return the other machines' parts of a folder; None where one of them is late."""
        parts: list[Manifest] = []
        deadline = time.monotonic() + _WAIT_SECONDS
        for number in range(1, self._machine.count):
            while (part := self._store.read_part(name, number)) is None:
                if self._dropped.is_set() or time.monotonic() > deadline:
                    log.warning("%s: machine %d has not stored its part of it", name, number)
                    return None
                time.sleep(_POLL_SECONDS)
            parts.append(part)
        return parts


_keeper: ContextVar[_Keeper | None] = ContextVar("keeper", default=None)
