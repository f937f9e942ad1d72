"""What every kind of storage can do, whatever its scheme.

A storage is a run's prefix. Objects have names below it, with ``/`` between the parts. Everything
here is safe to repeat, so that work that was killed at any point is simply done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

NOTHING = ""
"""As ``replaces`` of :meth:`Storage.write`: there must be no such object yet."""


@dataclass(frozen=True)
class Content:
    """A small object as it was read.

    Attributes:
        data: Its bytes.
        version: Changes with every write; what :meth:`Storage.write` takes as ``replaces``.
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
    """Objects below one URI. Every method raises StorageError with one sentence on failure."""

    uri: str

    @property
    def folder(self) -> Path | None:
        """The folder where the objects are plain files on this machine; None where there is none.

        Stages work in it directly; elsewhere they work in a scratch folder and publish that.
        """

    def read(self, name: str) -> Content | None:
        """A small object; None where there is no such object."""

    def write(self, name: str, data: bytes, replaces: str | None = None) -> None:
        """Write a small object, which appears complete or not at all.

        Args:
            name: The object.
            data: Its content.
            replaces: The version that must be there at that moment, :data:`NOTHING` for no object,
                None for whatever there is. Of many writers that name the same version one wins.

        Raises:
            BusyError: Something else is there; nothing was written.
        """

    def entries(self, prefix: str) -> dict[str, Entry]:
        """Every object whose name begins with ``prefix``, by its name."""

    def folders(self) -> list[str]:
        """What lies directly below, as far as something lies below that; in order."""

    def upload(self, folder: Path, names: Sequence[str], prefix: str) -> None:
        """Store files as ``<prefix><name>``; what is there already with this content is kept.

        Args:
            folder: Where the files are.
            names: Their paths in it.
            prefix: What the objects' names begin with.
        """

    def download(self, prefix: str, sizes: Mapping[str, int], folder: Path) -> None:
        """Fetch objects ``<prefix><name>`` as files; goes on with what an earlier call left.

        Args:
            prefix: What the objects' names begin with.
            sizes: Their sizes in bytes, by the rest of their names.
            folder: Where the files go, under the rest of their names.
        """

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; one that is not there is no mistake."""

    def check_writable(self) -> None:
        """Write, read and delete a small object, so that a run fails before it costs money."""
