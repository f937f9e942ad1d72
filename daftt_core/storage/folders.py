"""Folders in a storage: they exist once their manifest does, wherever they are.

    <folder>/manifest.json       lists the folder's files; written last
    <folder>/<digest>/<file>     its files, under the digest of the manifest that lists them

Two writers of one folder never touch each other's files, because files of other content lie under
another digest. Only the manifest is contended for, and the storage lets one writer win it. Files of
an interrupted or losing writer are never read; they go with the run's prefix.
"""

from __future__ import annotations

from pathlib import Path

from daftt_core.errors import BusyError, StorageError
from daftt_core.storage.cache import Cache
from daftt_core.storage.manifest import MANIFEST, Manifest, differing, listed_name, parse_manifest
from daftt_core.storage.protocol import NOTHING, Storage
from daftt_core.telemetry import metered

_ATTEMPTS = 3


class RemoteFolder:
    """A folder in a storage.

    Args:
        storage: The storage.
        name: The folder's name there.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self.uri = f"{storage.uri}/{name}"

    def version(self) -> str:
        """Return the current version, for ``replaces`` of :meth:`commit`."""
        content = self._storage.read(self._manifest)
        return content.version if content else NOTHING

    def manifest(self) -> Manifest | None:
        """Return the folder's manifest; None when the folder was not committed.

        Raises:
            StorageError: There is one, but it cannot be read.
        """
        content = self._storage.read(self._manifest)
        if content is None:
            return None
        uri = f"{self._storage.uri}/{self._manifest}"
        return parse_manifest(content.data, uri, "is damaged; remove it and run again")

    def is_whole(self, manifest: Manifest) -> bool:
        """Return whether every file that the manifest lists is stored with its size."""
        prefix = self._prefix(manifest)
        sizes = {name: entry.size for name, entry in self._storage.entries(prefix).items()}
        return all(sizes.get(f"{prefix}{file.name}") == file.size for file in manifest.files)

    def commit(self, folder: Path, manifest: Manifest, replaces: str) -> Manifest:
        """Store a committed local folder, its manifest last.

        It is safe to repeat; files that an earlier attempt stored are not sent again.

        Args:
            folder: The local folder.
            manifest: Its manifest. The usage of storing it is added to it.
            replaces: The version it follows, as :meth:`version` gave it before the work.

        Raises:
            BusyError: Another process committed this folder since.
            StorageError: It cannot be stored.

        Returns:
            The manifest as it was stored.
        """
        with metered() as meter:
            self.store(folder, manifest)
        if manifest.usage:
            storing = meter.usage().model_copy(update={"attempts": 0})
            manifest = manifest.using(manifest.usage + storing)
        try:
            self._storage.write(self._manifest, manifest.text().encode(), replaces=replaces)
        except BusyError as error:
            raise BusyError(
                f"{self.uri}: was committed by another process meanwhile; its result stands and "
                "was not overwritten"
            ) from error
        return manifest

    def store(self, folder: Path, manifest: Manifest) -> None:
        """Store a local folder's files without their manifest, so that it does not exist yet."""
        self._storage.upload(folder, [file.name for file in manifest.files], self._prefix(manifest))

    def content_uri(self, manifest: Manifest) -> str:
        """Return the prefix of the files that a manifest lists."""
        return f"{self._storage.uri}/{self._prefix(manifest)}".rstrip("/")

    def fetch(self, manifest: Manifest, cache: Cache) -> Path:
        """Return the folder's content on this machine; fetch it unless the cache has it.

        Args:
            manifest: The manifest that the content must match.
            cache: The cache.

        Raises:
            StorageError: An object is missing or does not match the manifest.
        """

        def fill(folder: Path) -> None:
            changed = self.download(manifest, folder)
            if changed:
                raise StorageError(
                    f"{self._storage.uri}/{self._prefix(manifest)}{changed[0]}: does not match the "
                    f"manifest {self.uri}/{MANIFEST}; it was changed"
                )

        return cache.obtain(manifest, fill)

    def read(self, manifest: Manifest, name: str) -> bytes:
        """Return one small file of the folder, checked against the manifest.

        Raises:
            StorageError: It is not listed or missing, cannot be read, or differs.
        """
        object_name = f"{self._prefix(manifest)}{name}"
        entry = manifest.entry(name)
        content = self._storage.read(object_name) if entry else None
        if entry is None or content is None:
            raise StorageError(f"{self._storage.uri}/{object_name}: is missing")
        if not entry.describes(content.data):
            raise StorageError(
                f"{self._storage.uri}/{object_name}: does not match its manifest; it was changed"
            )
        return content.data

    def download(self, manifest: Manifest, folder: Path) -> list[str]:
        """Fetch the files of a manifest into a folder, where an earlier attempt may have left some.

        Returns:
            The files that do not match the manifest after all attempts.

        Raises:
            StorageError: An object is missing or cannot be fetched.
        """
        try:  # a manifest that was not read from a file may list anything
            sizes = {listed_name(file.name): file.size for file in manifest.files}
        except ValueError as error:
            raise StorageError(f"{self.uri}/{MANIFEST}: {error}") from None
        for _ in range(_ATTEMPTS):
            self._storage.download(self._prefix(manifest), sizes, folder)
            changed = differing(folder, manifest)
            if not changed:
                break
            for name in changed:
                (folder / name).unlink(missing_ok=True)
        return changed

    @property
    def _manifest(self) -> str:
        return f"{self._name}/{MANIFEST}"

    def _prefix(self, manifest: Manifest) -> str:
        return f"{self._name}/{manifest.digest}/"
