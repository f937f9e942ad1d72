"""A folder's manifest: what it holds, what it was made from, and what came of it.

The manifest is written last. A folder without one does not exist for a reader, so work that was
interrupted at any point is simply done again or gone on with.

Only the files that it lists belong to the folder: no other is read, copied or served, and no link
is followed. A name that leads out of the folder makes the manifest void, wherever it is read from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FiniteFloat,
    ValidationError,
    field_validator,
)

from daftt_core.errors import StorageError
from daftt_core.records import appearing, digest
from daftt_core.records.files import write_text
from daftt_core.telemetry import Count, Usage, log

MANIFEST = "manifest.json"
_BLOCK_BYTES = 2**20


def is_inside(name: str) -> bool:
    """Whether a name is a plain path that cannot lead out of the folder it is looked for in."""
    return name.isprintable() and not {"", ".", ".."} & set(name.split("/"))


def listed_name(name: str) -> str:
    """A name that a manifest lists, as it is.

    Raises:
        ValueError: It leads out of the folder, or is none that a folder's own file can have.
    """
    if not is_inside(name) or name == MANIFEST or _is_hidden(Path(name)):
        raise ValueError(f"lists {name[:100]!r}, outside its folder or no plain name of a file")
    return name


class FileEntry(BaseModel):
    """One file of a committed folder: its path inside it, size in bytes, and SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, AfterValidator(listed_name)]
    size: Count
    sha256: str

    def describes(self, data: bytes) -> bool:
        """Whether this is the file's content."""
        return (len(data), hashlib.sha256(data).hexdigest()) == (self.size, self.sha256)


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
    seconds: FiniteFloat = 0.0
    peak_memory_bytes: Count = 0
    usage: Usage | None = None
    copied: bool = False

    @field_validator("summary")
    @classmethod
    def _check_numbers(cls, summary: dict[str, Any]) -> dict[str, Any]:
        try:  # later stages compare them, and NaN is above and below nothing
            json.dumps(summary, allow_nan=False)
        except ValueError:
            raise ValueError("its summary holds a number that is NaN or infinite") from None
        return summary

    @property
    def digest(self) -> str:
        """Identifies the content: the key and every file's digest."""
        return digest(self.key, [file.model_dump() for file in self.files])

    def entry(self, name: str) -> FileEntry | None:
        """What it says of a file; None where it does not list it."""
        return next((file for file in self.files if file.name == name), None)

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
        folder: A finished folder. Hidden files and folders, and links, are not part of it.
        key: Digest of everything it was made from.
        summary: Numbers and small facts; must be JSON.
        usage: What the work used.
        peak_memory_bytes: Peak resident memory of the work.

    Raises:
        StorageError: A file's name is not printable, or a number of the summary is not finite.
    """
    try:
        manifest = Manifest(
            key=key,
            files=tuple(_entry(folder, file) for file in _names(folder) if _is_file(folder / file)),
            summary=summary or {},
            seconds=usage.seconds if usage else 0.0,
            peak_memory_bytes=peak_memory_bytes,
            usage=usage,
        )
    except ValidationError as error:
        raise StorageError(f"{folder}: {_why(error) or error}") from None
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
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise StorageError(f"{path}: is no plain file; remove it")
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_manifest(data, str(path), f"is damaged; remove {folder} and run again")


def parse_manifest(data: bytes, where: str, damaged: str) -> Manifest:
    """The manifest that a file holds, whatever storage it comes from.

    Args:
        data: The file's content.
        where: What the file is called, for messages.
        damaged: What is said where it holds none.

    Raises:
        StorageError: It holds none, or one that lists a file outside its folder.
    """
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise StorageError(f"{where}: {_why(error) or damaged}") from None


def _why(error: ValidationError) -> str:
    """What the manifest's own rules say; empty where it is not a manifest at all."""
    own = [str(one["ctx"]["error"]) for one in error.errors() if one["type"] == "value_error"]
    return own[0] if own else ""


def verify(folder: Path, manifest: Manifest) -> None:
    """Check every file that the manifest lists against it.

    Raises:
        StorageError: Names the first file that is missing, is a link, or differs.
    """
    for entry in manifest.files:
        for _ in _blocks(folder, entry):
            continue


def read_listed(folder: Path, entry: FileEntry) -> bytes:
    """The content of a small file that a manifest lists, checked against it.

    Raises:
        StorageError: It is missing, is a link, or differs.
    """
    return b"".join(_blocks(folder, entry))


def copy_file(folder: Path, entry: FileEntry, target: Path) -> None:
    """Copy a file that a manifest lists, checked while it is read; it appears whole or not at all.

    Args:
        folder: The folder that the manifest describes.
        entry: What it says of the file.
        target: The copy.

    Raises:
        StorageError: It is missing, is a link, or differs.
        OSError: The copy cannot be written.
    """
    with appearing(target) as partial, partial.open("wb") as file:
        file.writelines(_blocks(folder, entry))


def sound_manifest(folder: Path, otherwise: str, key: str | None = None) -> Manifest | None:
    """The manifest of a folder whose every file matches it; a damaged folder is only warned about.

    Args:
        folder: The folder.
        otherwise: What is done about a damaged folder, for the warning.
        key: What it must have been made from; None takes any.

    Returns:
        None when the folder was not committed, was made from something else, is damaged, or holds
        what the manifest does not list.
    """
    try:
        manifest = read_manifest(folder)
        if manifest is None or (key is not None and manifest.key != key):
            return None
        verify(folder, manifest)
        extra = unlisted(folder, manifest)
        if extra:
            raise StorageError(f"{folder / extra[0]}: is not listed by the manifest beside it")
    except StorageError as error:
        log.warning("%s; %s", error, otherwise)
        return None
    return manifest


def differing(folder: Path, manifest: Manifest) -> list[str]:
    """The files that the manifest lists and that are missing, are links, or differ, by name."""
    return [entry.name for entry in manifest.files if not _matches(folder, entry)]


def unlisted(folder: Path, manifest: Manifest) -> list[str]:
    """What lies in a folder, hidden files aside, and is no file that its manifest lists."""
    listed = {entry.name for entry in manifest.files}
    return [name for name in _names(folder) if name not in listed]


def _matches(folder: Path, entry: FileEntry) -> bool:
    try:
        return all(True for _ in _blocks(folder, entry))
    except StorageError:
        return False


def _blocks(folder: Path, entry: FileEntry) -> Iterator[bytes]:
    """A listed file's content, block by block; after the last one it is known whether it matches.

    Raises:
        StorageError: It is missing, is a link or behind one, cannot be read, or differs.
    """
    path, hasher, size = folder / entry.name, hashlib.sha256(), 0
    try:
        with _open(folder, entry.name) as file:
            while block := file.read(_BLOCK_BYTES):
                hasher.update(block)
                size += len(block)
                yield block
    except FileNotFoundError:
        raise StorageError(f"{path}: is missing, but the manifest beside it lists it") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    if (size, hasher.hexdigest()) != (entry.size, entry.sha256):
        raise StorageError(f"{path}: does not match the manifest beside it; it was changed")


def _open(folder: Path, name: str) -> BinaryIO:
    path = folder / name
    if path.resolve() != folder.resolve() / name:
        raise StorageError(
            f"{path}: is a link or lies behind one, and links are not followed; put the file "
            "itself in its place"
        )
    if not path.is_file():
        raise FileNotFoundError(path)
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def _names(folder: Path) -> list[str]:
    """Everything in a folder but folders, hidden files, and its manifest."""
    there = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder) for path in there)
    return sorted(str(name) for name in names if str(name) != MANIFEST and not _is_hidden(name))


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _entry(folder: Path, name: str) -> FileEntry:
    path = folder / name
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(name=name, size=path.stat().st_size, sha256=sha256)
