"""``s3://``: Amazon S3, or a store that speaks its protocol (MinIO, SeaweedFS, Ceph).

Credentials come from the environment only, as the client library finds them (a role of the pod's
service account in a cluster, a profile elsewhere). ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``
names another store than Amazon's. The client library is imported when the first object is touched.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from daftt_core.errors import BusyError, StorageError
from daftt_core.storage.copying import (
    BucketStorage,
    ChangedError,
    MissingError,
    TransferError,
)
from daftt_core.storage.protocol import NOTHING, Content, Entry
from daftt_core.storage.s3_client import (
    RIGHTS,
    Bucket,
    DamagedError,
    Patience,
    code_of,
    known_errors,
    sentence,
    status_of,
)
from daftt_core.storage.s3_transfer import Transfer
from daftt_core.telemetry import count_bytes

_WRITER = "daftt-writer"
_CHECK = ".daftt-check"


class S3Storage(BucketStorage):
    """Objects below a prefix of a bucket.

    Args:
        uri: ``s3://bucket`` or ``s3://bucket/prefix``.
        patience: How long to keep trying.
        part_bytes: Bytes of the parts in which large files go in parallel.
        workers: How many requests run at once.

    Raises:
        StorageError: The URI names no bucket.
    """

    scheme = "s3"

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
        """Return a small object; None where there is no such object.

        Its version is the ETag, which a write of the same content leaves as it is.
        """
        with self._explained(name):
            try:
                data, answer = self._patience.until_whole(
                    lambda: self._bucket.fetch(self._full(name))
                )
            except known_errors() as error:
                if status_of(error) != 404 or code_of(error) == "NoSuchBucket":
                    raise
                return None
        count_bytes(fetched=len(data))
        return Content(data, str(answer["ETag"]))

    def write(self, name: str, data: bytes, replaces: str | None = None) -> None:
        """Write a small object, on condition of the ETag that is there."""
        writer = uuid.uuid4().hex
        condition = {} if replaces is None else {"IfMatch": replaces}
        condition = {"IfNoneMatch": "*"} if replaces == NOTHING else condition
        with self._explained(name, writing=True):
            try:
                self._bucket.store(self._full(name), data, {_WRITER: writer}, **condition)
            except known_errors() as error:
                was_removed = replaces and status_of(error) == 404
                is_refused = status_of(error) == 412 or was_removed
                if code_of(error) == "NoSuchBucket" or not (is_refused or status_of(error)):
                    raise
                if not self._is_ours(name, writer, refused=bool(is_refused)):
                    if not is_refused:
                        raise
                    raise BusyError(
                        f"{self.uri}/{name}: was written by another process meanwhile"
                    ) from error
        count_bytes(stored=len(data))

    def _is_ours(self, name: str, writer: str, *, refused: bool) -> bool:
        """Return whether a write that failed was in fact done, and only its answer was lost."""
        try:
            head = self._bucket.head(self._full(name))
        except known_errors():
            if refused:
                raise
            return False
        return head is not None and head["Metadata"].get(_WRITER) == writer

    def entries(self, prefix: str) -> dict[str, Entry]:
        """Return every object whose name begins with ``prefix``."""
        start = len(self._full(""))
        with self._explained(prefix):
            return {
                each["Key"][start:]: Entry(int(each["Size"]), each["LastModified"].timestamp())
                for page in self._pages(self._full(prefix))
                for each in page.get("Contents", [])
                if not each["Key"].endswith("/")  # what consoles make for a folder
            }

    def folders(self) -> list[str]:
        """Return the parts of objects' names before the next ``/``."""
        start = self._full("")
        with self._explained(""):
            return sorted(
                each["Prefix"].removeprefix(start).rstrip("/")
                for page in self._pages(start, Delimiter="/")
                for each in page.get("CommonPrefixes", [])
            )

    def _pages(self, prefix: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
        while True:
            page = self._bucket.call("list_objects_v2", Prefix=prefix, **parameters)
            yield page
            if not page.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = page["NextContinuationToken"]

    def _delete(self, name: str) -> None:
        try:
            self._bucket.call("delete_object", Key=self._full(name))
        except known_errors() as error:
            if status_of(error) != 404 or code_of(error) == "NoSuchBucket":
                raise

    def check_writable(self) -> None:
        """Write, read and delete a small object, and see that conditions on writing hold.

        Raises:
            StorageError: Something of it fails, or the store ignores conditions: of two processes
                that commit at the same moment, one would then overwrite the other.
        """
        name = f"{_CHECK}-{uuid.uuid4().hex}"
        self.write(name, b"daftt", replaces=NOTHING)
        content = self.read(name)
        if content is None or content.data != b"daftt":
            raise StorageError(f"{self.uri}/{name}: was written and could not be read back")
        self.write(name, b"daftt again", replaces=content.version)
        ignored = [
            header
            for header, version in (("If-None-Match", NOTHING), ("If-Match", content.version))
            if self._is_written(name, version)
        ]
        try:
            self._delete(name)
        except known_errors() as error:
            if status_of(error) != 403:
                raise StorageError(sentence(f"{self.uri}/{name}", error)) from error
            raise StorageError(
                f"{self._root}: may be written but not deleted from, and a run needs both; grant "
                "s3:DeleteObject on its objects"
            ) from error
        if ignored:
            raise StorageError(
                f"{self._root}: its store ignores conditions on writing ({', '.join(ignored)}), by "
                "which processes do not overwrite each other's results; use a newer version of it"
            )

    def _is_written(self, name: str, replaces: str) -> bool:
        try:
            self.write(name, b"daftt, too late", replaces=replaces)
        except BusyError:
            return False
        return True

    @cached_property
    def _bucket(self) -> Bucket:
        bucket = Bucket(self._bucket_name, self._patience, 2 * self._workers)
        weakref.finalize(self, bucket.close)
        return bucket

    @cached_property
    def _transfer(self) -> Transfer:
        return Transfer(self._bucket, self._patience, self._part_bytes, self._workers)

    @contextmanager
    def _explained(self, name: str, *, writing: bool = False) -> Iterator[None]:
        bucket = self._bucket  # first, as it raises what there is to say of the client
        uri = f"{self.uri}/{name}" if name else self.uri
        try:
            yield
        except TransferError as error:
            uri = f"{self._root}/{error.name}"
            cause = error.__cause__ or error
            raise StorageError(self._sentence(bucket, uri, cause, writing)) from error
        except known_errors() as error:  # of the network, not of a local disk
            raise StorageError(self._sentence(bucket, uri, error, writing)) from error

    def _sentence(self, bucket: Bucket, uri: str, error: BaseException, writing: bool) -> str:
        if isinstance(error, MissingError):
            return f"{uri}: is missing or has another size than expected"
        if isinstance(error, ChangedError):
            return f"{uri}: was replaced or removed while it was read; run the same command again"
        if isinstance(error, DamagedError):
            return sentence(uri, error)
        if isinstance(error, OSError) and not isinstance(error, known_errors()):
            return f"{error.filename or uri}: {error.strerror or error}"
        if code_of(error) not in ("AccessDenied", "403", "Forbidden"):
            return sentence(uri, error)
        try:
            bucket.call("list_objects_v2", MaxKeys=1)
        except known_errors() as answer:
            if status_of(answer) != 403:
                return sentence(uri, answer)
            return (
                f"{self._root}: this process may not use it; it belongs to others, or its role "
                f"lacks {RIGHTS}"
            )
        if writing:
            return f"{self._root}: is read-only for this process; grant its role {RIGHTS}"
        return sentence(uri, error)
