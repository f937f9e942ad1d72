"""``gs://``: Google Cloud Storage, or an emulator named by ``STORAGE_EMULATOR_HOST``.

Credentials come from the environment only, as the client library finds them (workload identity in
a cluster, application default credentials elsewhere); an emulator needs none. The client library
is imported when the first object is touched.
"""

from __future__ import annotations

import os
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from daftt_core.errors import BusyError, StorageError
from daftt_core.network import guard
from daftt_core.storage.copying import (
    BucketStorage,
    ChangedError,
    MissingError,
    TransferError,
)
from daftt_core.storage.gcs_client import (
    DamagedError,
    GcsAdapter,
    Patience,
    known_errors,
    sentence,
    status_of,
)
from daftt_core.storage.gcs_transfer import Transfer
from daftt_core.storage.protocol import NOTHING, Content, Entry
from daftt_core.telemetry import count_bytes

_EMULATOR = "STORAGE_EMULATOR_HOST"
_WRITER = "daftt-writer"
_CHECK = ".daftt-check"
_LISTED_FIELDS = "items(name,size,updated),nextPageToken"


class GcsStorage(BucketStorage):
    """Objects below a prefix of a bucket.

    Args:
        uri: ``gs://bucket`` or ``gs://bucket/prefix``.
        patience: How long to keep trying.
        part_bytes: Bytes of the parts in which large files go in parallel.
        workers: How many requests run at once.

    Raises:
        StorageError: The URI names no bucket.
    """

    scheme = "gs"

    def __init__(
        self,
        uri: str,
        *,
        patience: Patience | None = None,
        part_bytes: int = 16 * 2**20,
        workers: int = 8,
    ) -> None:
        super().__init__(uri, workers)
        self._patience = patience or Patience()
        self._part_bytes = part_bytes

    def read(self, name: str) -> Content | None:
        """Return a small object; None where there is no such object."""
        with self._explained(name):
            blob = self._blob(name)
            try:
                data = self._patience.until_whole(
                    lambda: bytes(blob.download_as_bytes(checksum="crc32c", **self._options))
                )
            except known_errors() as error:
                if status_of(error) != 404:
                    raise
                self._look_for_bucket()
                return None
            count_bytes(fetched=len(data))
            return Content(data, str(blob.generation))

    def write(self, name: str, data: bytes, replaces: str | None = None) -> None:
        """Write a small object, on condition of the generation that is there."""
        blob = self._blob(name)
        blob.metadata = {_WRITER: uuid.uuid4().hex}
        condition = None if replaces is None else int(replaces or 0)
        with self._explained(name, writing=True):
            try:
                blob.upload_from_string(
                    data,
                    content_type="application/octet-stream",
                    if_generation_match=condition,
                    checksum="crc32c",
                    **self._options,
                )
            except known_errors() as error:
                if status_of(error) == 412:
                    if not self._is_ours(blob, self._options):
                        raise BusyError(
                            f"{self.uri}/{name}: was written by another process meanwhile"
                        ) from error
                elif not self._may_be_ours(blob):
                    raise
        count_bytes(stored=len(data))

    def _may_be_ours(self, blob: Any) -> bool:
        """Return the same as :meth:`_is_ours`, from one attempt."""
        try:
            return self._is_ours(blob, {**self._options, "retry": None})
        except known_errors():
            return False

    def _is_ours(self, blob: Any, options: dict[str, Any]) -> bool:
        """Return whether a refused write was in fact done, and only its answer was lost."""
        stored = self._bucket.get_blob(blob.name, **options)
        return stored is not None and (stored.metadata or {}).get(_WRITER) == blob.metadata[_WRITER]

    def entries(self, prefix: str) -> dict[str, Entry]:
        """Return every object whose name begins with ``prefix``."""
        start = len(self._full(""))
        with self._explained(prefix):
            blobs = self._client.list_blobs(
                self._bucket_name, prefix=self._full(prefix), fields=_LISTED_FIELDS, **self._options
            )
            return {
                blob.name[start:]: Entry(int(blob.size), blob.updated.timestamp()) for blob in blobs
            }

    def folders(self) -> list[str]:
        """Return the parts of objects' names before the next ``/``."""
        start = self._full("")
        with self._explained(""):
            blobs = self._client.list_blobs(
                self._bucket_name, prefix=start, delimiter="/", fields="prefixes", **self._options
            )
            for _ in blobs.pages:  # the prefixes come with the objects
                continue
        return sorted(name.removeprefix(start).rstrip("/") for name in blobs.prefixes)

    def _delete(self, name: str) -> None:
        try:
            self._blob(name).delete(**self._options)
        except known_errors() as error:
            if status_of(error) != 404:
                raise
            self._look_for_bucket()

    def check_writable(self) -> None:
        """Write, read and delete a small object."""
        name = f"{_CHECK}-{uuid.uuid4().hex}"
        self.write(name, b"daftt", replaces=NOTHING)
        content = self.read(name)
        if content is None or content.data != b"daftt":
            raise StorageError(f"{self.uri}/{name}: was written and could not be read back")
        try:
            self._delete(name)
        except known_errors() as error:
            if status_of(error) != 403:
                raise StorageError(sentence(f"{self.uri}/{name}", error)) from error
            raise StorageError(
                f"{self._root}: may be written but not deleted from, and a run needs both; grant "
                "the role roles/storage.objectUser on it"
            ) from error

    @cached_property
    def _client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        emulated = bool(os.environ.get(_EMULATOR))
        with self._explained(""):
            client = Client(
                credentials=AnonymousCredentials() if emulated else None,
                # Objects belong to a bucket, so no project is needed; without one given here the
                # library would fail where it finds none.
                project=os.environ.get("GOOGLE_CLOUD_PROJECT") or "unnamed",
            )
        guard(client._http, GcsAdapter(self._patience.deadline_seconds, 2 * self._workers))
        weakref.finalize(self, client.close)
        return client

    @cached_property
    def _bucket(self) -> Any:
        return self._client.bucket(self._bucket_name)

    @cached_property
    def _transfer(self) -> Transfer:
        return Transfer(self._bucket, self._patience, self._part_bytes, self._workers)

    @property
    def _options(self) -> dict[str, Any]:
        return {"retry": self._patience.retry, "timeout": self._patience.request_seconds}

    def _blob(self, name: str) -> Any:
        return self._bucket.blob(self._full(name))

    def _look_for_bucket(self) -> None:
        """Raise the server's error to the smallest request that a bucket answers."""
        list(self._client.list_blobs(self._bucket_name, max_results=1, **self._options))

    @contextmanager
    def _explained(self, name: str, *, writing: bool = False) -> Iterator[None]:
        uri = f"{self.uri}/{name}" if name else self.uri
        try:
            yield
        except TransferError as error:
            uri = f"{self._root}/{error.name}"
            raise StorageError(self._sentence(uri, error.__cause__ or error, writing)) from error
        except known_errors() as error:  # of the network, not of a local disk
            raise StorageError(self._sentence(uri, error, writing)) from error

    def _sentence(self, uri: str, error: BaseException, writing: bool) -> str:
        if isinstance(error, MissingError):
            return f"{uri}: is missing or has another size than expected"
        if isinstance(error, ChangedError):
            return f"{uri}: was replaced or removed while it was read; run the same command again"
        if isinstance(error, DamagedError):
            return f"{uri}: arrived damaged (crc32c) at every attempt; check the network"
        if isinstance(error, OSError) and not isinstance(error, known_errors()):
            return f"{error.filename or uri}: {error.strerror or error}"
        if status_of(error) not in (403, 404):
            return sentence(uri, error)
        try:
            self._look_for_bucket()
        except known_errors() as answer:
            if status_of(answer) == 404:
                return f"{self._root}: there is no such bucket; create it, or correct the name"
            if status_of(answer) == 403:
                return (
                    f"{self._root}: exists, but this process may not use it; it belongs to another "
                    "project, or the role roles/storage.objectUser on it was not granted to this "
                    "process's service account"
                )
            return sentence(uri, answer)
        if status_of(error) == 403 and writing:
            return (
                f"{self._root}: is read-only for this process; grant its service account the role "
                "roles/storage.objectUser on it"
            )
        return sentence(uri, error)
