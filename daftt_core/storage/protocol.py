"""The protocol of every kind of storage, whatever its scheme.

A storage is a run's prefix. Objects have names below it, with ``/`` between the parts. Every
operation is safe to repeat, so that work that was killed at any point is simply done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

NOTHING = ""
"""For ``replaces`` of :meth:`Storage.write`: there must be no such object yet."""


@dataclass(frozen=True)
class Content:
    """A small object as it was read.

    Attributes:
        data: Its bytes.
        version: Changes with every write; for ``replaces`` of :meth:`Storage.write`.
    """

    data: bytes
    version: str


@dataclass(frozen=True)
class Entry:
    """An object as a listing shows it.

    Attributes:
        size: Bytes.
        modified: When it was written, in seconds since the epoch.
    """

    size: int
    modified: float


class Storage(Protocol):
    """Objects below one URI. On failure every method raises StorageError with one sentence."""

    uri: str

    @property
    def folder(self) -> Path | None:
        """Return the folder whose plain files the objects are; None where there is none.

        Stages work in it directly; elsewhere they work in a scratch folder and publish that.
        """

    def read(self, name: str) -> Content | None:
        """Return a small object; None where there is no such object."""

    def write(self, name: str, data: bytes, replaces: str | None = None) -> None:
        """Write a small object, which appears complete or not at all.

        Args:
            name: The object.
            data: Its content.
            replaces: The version that must be stored at that moment, :data:`NOTHING` for no
                object, None for any. Of many writers that name the same version one wins.

        Raises:
            BusyError: Another version is stored; nothing was written.
        """

    def entries(self, prefix: str) -> dict[str, Entry]:
        """Return every object whose name begins with ``prefix``, by its name."""

    def folders(self) -> list[str]:
        """Return the names directly below that have objects below them, in order."""

    def upload(self, folder: Path, names: Sequence[str], prefix: str) -> None:
        """Store files as ``<prefix><name>``; objects of the same content are kept.

        Args:
            folder: The folder of the files.
            names: Their paths in it.
            prefix: The beginning of the objects' names.
        """

    def download(self, prefix: str, sizes: Mapping[str, int], folder: Path) -> None:
        """Fetch objects ``<prefix><name>`` as files; resume an interrupted call.

        Args:
            prefix: The beginning of the objects' names.
            sizes: Their sizes in bytes, by the rest of their names.
            folder: The folder of the files, which get the rest of the names.
        """

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects, as far as they exist."""

    def check_writable(self) -> None:
        """Write, read and delete a small object, so that a run fails before it costs money."""
