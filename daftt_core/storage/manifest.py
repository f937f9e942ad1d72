"""A folder's manifest: what it holds, what it was made from, and what came of it.

The manifest is written last. A folder without one does not exist for a reader, so work that was
interrupted at any point is simply done again or gone on with.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from daftt_core.errors import StorageError
from daftt_core.metering import Count, Usage
from daftt_core.progress import log
from daftt_core.records import digest
from daftt_core.storage.local import write_text

__all__ = [
    "MANIFEST",
    "FileEntry",
    "Manifest",
    "commit",
    "differing",
    "read_manifest",
    "sound_manifest",
    "verify",
    "write_manifest",
]

MANIFEST = "manifest.json"


class FileEntry(BaseModel):
    """One file of a committed folder: its path inside it, size in bytes, and SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    size: Count
    sha256: str


class Manifest(BaseModel):
    """What a committed folder holds; fields that a later version adds are passed over.

    Attributes:
        key: Digest of everything the folder was made from; equal keys mean equal work.
        files: Its files, sorted by name.
        summary: Numbers and small facts for metrics and reports.
        seconds: Wall time of the work, all attempts together.
        peak_memory_bytes: Peak resident memory of the process that finished it.
        usage: What the work used; None where it was not measured.
        copied: Whether the work was done for another folder, and this one is its copy.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    key: str
    files: tuple[FileEntry, ...]
    summary: dict[str, Any] = {}
    seconds: float = 0.0
    peak_memory_bytes: Count = 0
    usage: Usage | None = None
    copied: bool = False

    @property
    def digest(self) -> str:
        """Identifies the content: the key and every file's digest."""
        return digest(self.key, [file.model_dump() for file in self.files])

    def using(self, usage: Usage) -> Manifest:
        """The same folder, with what its work used in all."""
        return self.model_copy(update={"usage": usage, "seconds": usage.seconds})


def commit(
    folder: Path,
    key: str,
    summary: dict[str, Any] | None = None,
    *,
    usage: Usage | None = None,
    peak_memory_bytes: int = 0,
) -> Manifest:
    """Make a folder exist for its readers.

    Args:
        folder: A finished folder. Hidden files and folders are not part of it.
        key: Digest of everything it was made from.
        summary: Numbers and small facts; must be JSON.
        usage: What the work used.
        peak_memory_bytes: Peak resident memory of the work.
    """
    files = tuple(_entry(folder, name) for name in _names(folder))
    manifest = Manifest(
        key=key,
        files=files,
        summary=summary or {},
        seconds=usage.seconds if usage else 0.0,
        peak_memory_bytes=peak_memory_bytes,
        usage=usage,
    )
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest into the folder that it describes."""
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder, or None when the folder was not committed.

    Raises:
        StorageError: There is a manifest, but it cannot be read as one.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):
        raise StorageError(f"{path}: is damaged; remove {folder} and run again") from None


def verify(folder: Path, manifest: Manifest) -> None:
    """Check every file against the manifest.

    Raises:
        StorageError: Names the first file that is missing or differs.
    """
    for entry in manifest.files:
        path = folder / entry.name
        if not path.is_file():
            raise StorageError(f"{path}: is missing, but the manifest beside it lists it")
        try:
            found = _entry(folder, entry.name)
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
        if found != entry:
            raise StorageError(f"{path}: does not match the manifest beside it; it was changed")


def sound_manifest(folder: Path, otherwise: str, key: str | None = None) -> Manifest | None:
    """The manifest of a folder whose every file matches it; a damaged folder is only warned about.

    Args:
        folder: The folder.
        otherwise: What is done about a damaged folder, for the warning.
        key: What it must have been made from; None takes any.

    Returns:
        None when the folder was not committed, was made from something else, or is damaged.
    """
    try:
        manifest = read_manifest(folder)
        if manifest is None or (key is not None and manifest.key != key):
            return None
        verify(folder, manifest)
    except StorageError as error:
        log.warning("%s; %s", error, otherwise)
        return None
    return manifest


def differing(folder: Path, manifest: Manifest) -> list[str]:
    """The files that the manifest lists and that are missing or differ, by name."""
    return [
        entry.name
        for entry in manifest.files
        if not (folder / entry.name).is_file() or _entry(folder, entry.name) != entry
    ]


def _names(folder: Path) -> list[str]:
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(
        str(name)
        for name in names
        if str(name) != MANIFEST and not any(part.startswith(".") for part in name.parts)
    )


def _entry(folder: Path, name: str) -> FileEntry:
    path = folder / name
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(name=name, size=path.stat().st_size, sha256=sha256)
