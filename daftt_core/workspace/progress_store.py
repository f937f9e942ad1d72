"""The progress of an unfinished stage in the run's storage.

    <base>/files/<file>                                a finished file
    <base>/folders/<folder>.json                       a finished folder; written last
    <base>/content/<folder>/<digest>/<file>            its files
    <base>/parts/<attempt>/<machine>/<folder>.json     a further machine's part of it

``base`` is ``.progress/<stage>/<key>``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from daftt_core.errors import StorageError
from daftt_core.records import Record
from daftt_core.storage import (
    NOTHING,
    Entry,
    Manifest,
    RemoteFolder,
    Storage,
    is_inside,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from daftt_core.telemetry import log

_FETCHED = ".restoring"


class _Parts(Record):
    """The parts of a folder by machine; of files of one name the first counts."""

    parts: tuple[Manifest, ...]

    def whole(self) -> Manifest:
        files = {file.name: file for part in reversed(self.parts) for file in part.files}
        return self.parts[0].model_copy(
            update={"files": tuple(files[name] for name in sorted(files))}
        )


class ProgressStore:
    """The pieces of one stage in a storage.

    Args:
        storage: The run's storage.
        base: The beginning of all objects' names.
        attempt: Name of the attempt at which several machines store their parts.
    """

    def __init__(self, storage: Storage, base: str, attempt: str) -> None:
        self._storage, self._base, self._attempt = storage, base, attempt
        self.uri = f"{storage.uri}/{base}"

    def store_file(self, name: str, path: Path) -> None:
        """Store a file, which appears whole or not at all."""
        self._storage.write(f"{self._base}/files/{name}", path.read_bytes())

    def store_content(self, name: str, path: Path, manifest: Manifest) -> None:
        """Store the files of a folder, which does not exist before :meth:`commit`."""
        self._content(name).store(path, manifest)

    def write_part(self, name: str, number: int, manifest: Manifest) -> None:
        """Record that a machine has stored its part of a folder."""
        self._storage.write(self._part(name, number), _bytes(manifest))

    def read_part(self, name: str, number: int) -> Manifest | None:
        """Return a machine's part of a folder; None while it is not stored."""
        part = self._part(name, number)
        content = self._storage.read(part)
        uri = f"{self._storage.uri}/{part}"
        return None if content is None else parse_manifest(content.data, uri, "is damaged")

    def commit(self, name: str, parts: Sequence[Manifest]) -> None:
        """Make a folder exist, once the content of all its parts is stored.

        Raises:
            BusyError: Another machine does the same at this moment.
        """
        committed = self._committed(name)
        content = self._storage.read(committed)
        data = _bytes(_Parts(parts=tuple(parts)))
        self._storage.write(committed, data, replaces=content.version if content else NOTHING)

    def remove(self, name: str) -> None:
        """Remove a folder."""
        self._storage.delete([self._committed(name)])  # first: then it no longer exists
        self._storage.delete(self._storage.entries(f"{self._base}/content/{name}/"))

    def restore(self, folder: Path) -> set[str]:
        """Fetch the pieces that a stage's folder lacks.

        Returns:
            The folders that are stored and restored.

        Raises:
            StorageError: A piece cannot be fetched; a damaged one is only warned about.
        """
        entries = self._storage.entries(f"{self._base}/")
        fetched = folder / _FETCHED
        files = _sizes(entries, f"{self._base}/files/", "")
        missing = {name: files[name] for name in files if not (folder / name).exists()}
        if missing:
            self._storage.download(f"{self._base}/files/", missing, fetched / "files")
        for name in missing:
            _move(fetched / "files" / name, folder / name)
        names = _sizes(entries, f"{self._base}/folders/", ".json")
        restored = [
            name for name in names if self._restore(name, folder / name, fetched / "folders" / name)
        ]
        shutil.rmtree(fetched, ignore_errors=True)
        if missing or restored:
            log.info(
                "%s: resuming with %d files and %d folders of an earlier attempt",
                self.uri,
                len(missing),
                len(restored),
            )
        return {name for name in names if (folder / name).exists()}

    def _restore(self, name: str, folder: Path, fetched: Path) -> bool:
        content = self._storage.read(self._committed(name))
        if content is None:
            return False
        try:
            stored = _Parts.model_validate_json(content.data)
        except ValidationError:
            uri = f"{self._storage.uri}/{self._committed(name)}"
            log.warning("%s: is damaged, so the folder it describes is made again", uri)
            return False
        if _manifest_in(folder) == stored.whole():  # else it is unfinished, or one machine's part
            return False
        remote = self._content(name)
        fetched.mkdir(parents=True, exist_ok=True)
        if not all(remote.is_whole(part) for part in stored.parts) or any(
            remote.download(part, fetched) for part in reversed(stored.parts)
        ):
            log.warning("%s: its stored files are damaged, so they are made again", remote.uri)
            return False
        write_manifest(fetched, stored.whole())
        shutil.rmtree(folder, ignore_errors=True)
        _move(fetched, folder)
        return True

    def _committed(self, name: str) -> str:
        return f"{self._base}/folders/{name}.json"

    def _content(self, name: str) -> RemoteFolder:
        return RemoteFolder(self._storage, f"{self._base}/content/{name}")

    def _part(self, name: str, number: int) -> str:
        return f"{self._base}/parts/{self._attempt}/{number}/{name}.json"


def _manifest_in(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except StorageError:  # damaged: it is fetched again
        return None


def _sizes(entries: Mapping[str, Entry], prefix: str, suffix: str) -> dict[str, int]:
    """Return the sizes of objects by the part of their names between prefix and suffix."""
    sizes = {
        name.removeprefix(prefix).removesuffix(suffix): entry.size
        for name, entry in entries.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }
    for name in [name for name in sizes if not is_inside(name)]:
        log.warning("%s%r: leads out of the stage's folder, so it is not fetched", prefix, name)
        del sizes[name]
    return sizes


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _bytes(model: BaseModel) -> bytes:
    return model.model_dump_json(indent=1).encode()
