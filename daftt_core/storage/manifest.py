"""A folder's manifest: its files, the digest of its inputs, and its result.

The manifest is written last. A folder without one does not exist for a reader, so work that was
interrupted at any point is simply done again or resumed.

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
from daftt_core.records import Record, appearing, digest, write_text
from daftt_core.telemetry import Count, Usage, log

MANIFEST = "manifest.json"
_BLOCK_BYTES = 2**20


def is_inside(name: str) -> bool:
    """Return whether a name is a plain path that cannot lead out of its folder."""
    return name.isprintable() and not {"", ".", ".."} & set(name.split("/"))


def listed_name(name: str) -> str:
    """Return a name that a manifest lists, once it is checked.

    Raises:
        ValueError: It leads out of the folder, or a folder's own file cannot have it.
    """
    if not is_inside(name) or name == MANIFEST or _is_hidden(Path(name)):
        raise ValueError(f"lists {name[:100]!r}, outside its folder or not a plain file name")
    return name


class FileEntry(Record):
    """One file of a committed folder: its path inside it, size in bytes, and SHA-256."""

    name: Annotated[str, AfterValidator(listed_name)]
    size: Count
    sha256: str

    def describes(self, data: bytes) -> bool:
        """Return whether this is the file's content."""
        return (len(data), hashlib.sha256(data).hexdigest()) == (self.size, self.sha256)


class Manifest(BaseModel):
    """The manifest of a committed folder; fields that a later version adds are ignored.

    Attributes:
        key: Digest of everything the folder was made from; equal keys mean equal work.
        files: Its files, sorted by name.
        summary: Numbers and small facts for metrics and reports.
        seconds: Wall time of the work, all attempts together.
        peak_memory_bytes: Peak resident memory of the process that finished it.
        usage: Usage of the work; None where it was not measured.
        copied: Whether the work was done for another folder, and this one is its copy.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)

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
            raise ValueError("the summary holds a number that is NaN or infinite") from None
        return summary

    @property
    def digest(self) -> str:
        """Return a digest of the content: of the key and of every file's digest."""
        return digest(self.key, [file.model_dump() for file in self.files])

    def entry(self, name: str) -> FileEntry | None:
        """Return the entry of a file; None where it is not listed."""
        return next((file for file in self.files if file.name == name), None)

    def using(self, usage: Usage) -> Manifest:
        """Return the manifest with another usage of its work."""
        return self.model_copy(update={"usage": usage, "seconds": usage.seconds})

    def text(self) -> str:
        """Return the manifest as the text of its file."""
        return self.model_dump_json(indent=1) + "\n"


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
        usage: Usage of the work.
        peak_memory_bytes: Peak resident memory of the work.

    Raises:
        StorageError: A file's name is not printable, or a number of the summary is not finite.
    """
    try:
        manifest = Manifest(
            key=key,
            files=tuple(_entry(folder, name) for name in _names(folder) if _is_file(folder / name)),
            summary=summary or {},
            seconds=usage.seconds if usage else 0.0,
            peak_memory_bytes=peak_memory_bytes,
            usage=usage,
        )
    except ValidationError as error:
        raise StorageError(f"{folder}: {_broken_rule(error) or error}") from None
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest into the folder that it describes."""
    write_text(folder / MANIFEST, manifest.text())


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None when the folder was not committed.

    Raises:
        StorageError: There is a manifest, but it cannot be read as one.
    """
    path = folder / MANIFEST
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise StorageError(f"{path}: is not a plain file; remove it")
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_manifest(data, str(path), f"is damaged; remove {folder} and run again")


def parse_manifest(data: bytes, where: str, damaged: str) -> Manifest:
    """Parse the manifest in a file, whatever storage it comes from.

    Args:
        data: The file's content.
        where: Path or URI of the file, for messages.
        damaged: The message where it holds no manifest.

    Raises:
        StorageError: It holds none, or one that lists a file outside its folder.
    """
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise StorageError(f"{where}: {_broken_rule(error) or damaged}") from None


def _broken_rule(error: ValidationError) -> str:
    """Return the message of a manifest's own rules; empty where it is not a manifest at all."""
    details = (each for each in error.errors() if each["type"] == "value_error")
    return next((str(each["ctx"]["error"]) for each in details), "")


def verify(folder: Path, manifest: Manifest) -> None:
    """Check every file that the manifest lists against it.

    Raises:
        StorageError: Names the first file that is missing, is a link, or differs.
    """
    for entry in manifest.files:
        for _ in _blocks(folder, entry):
            continue


def read_listed(folder: Path, entry: FileEntry) -> bytes:
    """Read a small file that a manifest lists, checked against it.

    Raises:
        StorageError: It is missing, is a link, or differs.
    """
    return b"".join(_blocks(folder, entry))


def copy_file(folder: Path, entry: FileEntry, target: Path) -> None:
    """Copy a file that a manifest lists, checked while it is read; it appears whole or not at all.

    Args:
        folder: The folder that the manifest describes.
        entry: Its entry of the file.
        target: The copy.

    Raises:
        StorageError: It is missing, is a link, or differs.
        OSError: The copy cannot be written.
    """
    with appearing(target) as partial, partial.open("wb") as file:
        file.writelines(_blocks(folder, entry))


def sound_manifest(folder: Path, otherwise: str, key: str | None = None) -> Manifest | None:
    """Return the manifest of a folder whose every file matches it; warn about a damaged folder.

    Args:
        folder: The folder.
        otherwise: What is done about a damaged folder, for the warning.
        key: The key that the manifest must have; None accepts any.

    Returns:
        None when the folder was not committed, has another key, is damaged, or holds a file that
        the manifest does not list.
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
    """Return the names of listed files that are missing, are links, or differ."""
    return [entry.name for entry in manifest.files if not _matches(folder, entry)]


def unlisted(folder: Path, manifest: Manifest) -> list[str]:
    """Return the names in a folder that its manifest does not list, without hidden files."""
    listed = {entry.name for entry in manifest.files}
    return [name for name in _names(folder) if name not in listed]


def _matches(folder: Path, entry: FileEntry) -> bool:
    try:
        for _ in _blocks(folder, entry):
            continue
    except StorageError:
        return False
    return True


def _blocks(folder: Path, entry: FileEntry) -> Iterator[bytes]:
    """Yield a listed file's content in blocks, and check it after the last one.

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
    """Return the names of all files and links in a folder, without hidden ones and its manifest."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder) for path in paths)
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
