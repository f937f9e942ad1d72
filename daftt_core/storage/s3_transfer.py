"""Many files and large files to and from an S3 bucket, in parallel, and nothing twice.

A large file goes up as the parts of a multipart upload and comes down in ranges. What a killed
attempt had finished is reused: objects, known by the MD5 in their metadata; parts of an upload that
was not completed, known by their ETag, which is their MD5; ranges on the disk, known by a journal.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daftt_core.storage.copying import ChangedError, MissingError, TransferError, copy_each
from daftt_core.storage.ranges import Journal
from daftt_core.storage.s3_client import (
    MD5,
    Bucket,
    DamagedError,
    Patience,
    code_of,
    known_errors,
    md5,
    status_of,
)
from daftt_core.telemetry import Progress, count_bytes

_MOST_PARTS = 10_000  # of one upload
_FEW_PARTS = 4  # files of no more than these go up whole
_BLOCK_BYTES = 2**20


class _Digests(NamedTuple):
    """MD5 of a file and of each of its parts."""

    whole: str
    parts: list[bytes]


class Transfer:
    """Copying of files to and from a bucket.

    Args:
        bucket: The bucket.
        patience: How long to keep trying with each object.
        part_bytes: Larger files go in parts of this size, of which a store takes 5 MiB at least.
        workers: How many requests run at once.
    """

    def __init__(self, bucket: Bucket, patience: Patience, part_bytes: int, workers: int) -> None:
        self._bucket, self._patience = bucket, patience
        self._part_bytes, self._workers = part_bytes, workers

    def upload(self, folder: Path, names: Sequence[str], prefix: str) -> None:
        """Store files as ``<prefix><name>``, except those that are stored already.

        Raises:
            TransferError: A file did not arrive as it is, at any attempt.
        """
        paths = {f"{prefix}{name}": folder / name for name in names}
        progress = Progress("upload", len(paths), "files")
        whole_bytes = _FEW_PARTS * self._part_bytes
        large = [target for target, path in paths.items() if path.stat().st_size > whole_bytes]
        for target in large:
            self._upload_parts(paths[target], target)
            progress.advance()

        def store(target: str) -> int:
            data = paths[target].read_bytes()
            if self._is_stored(target, len(data), md5(data).hexdigest()):
                return 0
            self._bucket.store(target, data, {})
            return len(data)

        def done(size: int) -> None:
            count_bytes(stored=size)
            progress.advance()

        copy_each([name for name in paths if name not in large], store, done, self._workers)

    def download(self, prefix: str, sizes: Mapping[str, int], folder: Path) -> None:
        """Fetch objects ``<prefix><name>``, except those that are on the disk already.

        Raises:
            TransferError: An object is missing or did not arrive as it is, at any attempt.
        """
        names = {f"{prefix}{name}": name for name in sizes}
        journal = Journal(folder)
        progress = Progress("download", len(names), "files")
        large = [target for target, name in names.items() if sizes[name] > self._part_bytes]
        for target in large:
            size, path = sizes[names[target]], folder / names[target]
            self._download_ranges(target, size, path, journal)
            progress.advance()

        def fetch(target: str) -> int:
            size, path = sizes[names[target]], folder / names[target]
            if self._is_on_disk(target, size, path):
                return 0
            data = self._patience.until_whole(lambda: self._fetch(target))
            if len(data) != size:
                raise MissingError
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return size

        def done(size: int) -> None:
            count_bytes(fetched=size)
            progress.advance()

        copy_each([name for name in names if name not in large], fetch, done, self._workers)
        journal.remove()

    def _is_stored(self, target: str, size: int, digest: str) -> bool:
        head = self._bucket.head(target)
        return (
            head is not None
            and head["ContentLength"] == size
            and head["Metadata"].get(MD5) == digest
        )

    def _is_on_disk(self, target: str, size: int, path: Path) -> bool:
        if not path.is_file() or path.stat().st_size != size:
            return False
        return self._is_stored(target, size, _digests(path, self._part_bytes).whole)

    def _fetch(self, target: str, **parameters: Any) -> bytes:
        try:
            return self._bucket.fetch(target, **parameters)[0]
        except known_errors() as error:
            if status_of(error) == 412 or (status_of(error) == 404 and "Range" in parameters):
                raise ChangedError from error
            if status_of(error) == 404 and code_of(error) != "NoSuchBucket":
                raise MissingError from error
            raise

    def _upload_parts(self, path: Path, target: str) -> None:
        """Send a large file in parts, going on with an upload that was not completed.

        Another process may be doing the same with the same upload, and complete it first.
        """
        total = path.stat().st_size
        part_bytes = max(self._part_bytes, math.ceil(total / _MOST_PARTS))
        digests = _digests(path, part_bytes)

        def send() -> None:
            if not self._is_stored(target, total, digests.whole):
                self._complete(path, target, part_bytes, digests)
                if not self._is_stored(target, total, digests.whole):
                    # the upload was begun for other content: what it made goes, and it with it
                    self._bucket.call("delete_object", Key=target)
                    raise DamagedError("its MD5 is another one")

        try:
            self._patience.until_whole(send)
        except known_errors() as error:
            raise TransferError(target) from error

    def _complete(self, path: Path, target: str, part_bytes: int, digests: _Digests) -> None:
        """Bring an upload to its end, or see that it is no longer there."""
        upload = {"Key": target, "UploadId": self._unfinished(target)}
        if not upload["UploadId"]:
            begun = self._bucket.call(
                "create_multipart_upload",
                Key=target,
                ContentType="application/octet-stream",
                Metadata={MD5: digests.whole},
            )
            upload["UploadId"] = begun["UploadId"]
        failures: tuple[type[BaseException], ...] = (TransferError, *known_errors())
        try:
            etags = self._stored_parts(upload)
            wanted = {str(number): part for number, part in enumerate(digests.parts, start=1)}
            missing = [n for n, part in wanted.items() if etags.get(n, "").strip('"') != part.hex()]

            def store(number: str) -> int:
                with path.open("rb") as file:
                    file.seek((int(number) - 1) * part_bytes)
                    data = file.read(part_bytes)
                answer = self._bucket.call(
                    "upload_part",
                    PartNumber=int(number),
                    Body=data,
                    ContentMD5=base64.b64encode(wanted[number]).decode("ascii"),
                    **upload,
                )
                etags[number] = answer["ETag"]
                return len(data)

            done = len(wanted) - len(missing)
            progress = Progress(f"upload {path.name}", len(wanted), "parts", done=done)

            def stored(size: int) -> None:
                count_bytes(stored=size)
                progress.advance()

            copy_each(missing, store, stored, self._workers)
            parts = [{"PartNumber": int(number), "ETag": etags[number]} for number in wanted]
            self._bucket.call(
                "complete_multipart_upload", MultipartUpload={"Parts": parts}, **upload
            )
        except failures as error:
            cause = error.__cause__ if isinstance(error, TransferError) else error
            if cause is None or code_of(cause) not in ("NoSuchUpload", "InvalidPart"):
                raise TransferError(target) from cause

    def _unfinished(self, target: str) -> str:
        """Return the newest upload of an object that was not completed; empty if there is none."""
        answer = self._bucket.call("list_multipart_uploads", Prefix=target)
        uploads = [each for each in answer.get("Uploads", []) if each["Key"] == target]
        newest = max(uploads, key=lambda each: each["Initiated"], default={"UploadId": ""})
        return str(newest["UploadId"])

    def _stored_parts(self, upload: Mapping[str, str]) -> dict[str, str]:
        """Return the ETag of each part of an upload that is there, by its number."""
        etags: dict[str, str] = {}
        marker = 0
        while True:
            answer = self._bucket.call("list_parts", PartNumberMarker=marker, **upload)
            parts = answer.get("Parts", [])
            etags |= {str(part["PartNumber"]): part["ETag"] for part in parts}
            if not answer.get("IsTruncated") or not parts:
                return etags
            marker = parts[-1]["PartNumber"]

    def _download_ranges(self, target: str, size: int, path: Path, journal: Journal) -> None:
        """Fetch a large object range by range into a file of its full size."""

        def fetch_all() -> None:
            head = self._bucket.head(target)
            if head is None or head["ContentLength"] != size:
                raise MissingError
            whole = head["Metadata"].get(MD5)  # others' objects have none
            was_full = path.is_file() and path.stat().st_size == size
            ranges = f"{self._part_bytes}:{head['ETag']}"
            done = journal.start(path, size, ranges)
            if was_full and not done and whole == _digests(path, self._part_bytes).whole:
                return

            def fetch(start: str) -> int:
                first = int(start)
                last = min(first + self._part_bytes, size) - 1
                data = self._fetch(target, Range=f"bytes={first}-{last}", IfMatch=head["ETag"])
                if len(data) != last + 1 - first:
                    raise DamagedError(f"{len(data)} bytes are not the range {first}-{last}")
                with path.open("r+b") as file:
                    file.seek(first)
                    file.write(data)
                journal.add(path, first, ranges)
                return len(data)

            starts = range(0, size, self._part_bytes)
            missing = [str(start) for start in starts if start not in done]
            progress = Progress(f"download {path.name}", len(starts), "parts", done=len(done))

            def fetched(size: int) -> None:
                count_bytes(fetched=size)
                progress.advance()

            try:
                copy_each(missing, fetch, fetched, self._workers)
            except TransferError as error:  # it names a range
                raise error.__cause__ or error from None
            if missing and whole and whole != _digests(path, self._part_bytes).whole:
                journal.forget(path)
                raise DamagedError(f"its MD5 is not {whole}")

        try:
            self._patience.until_whole(fetch_all)
        except Exception as error:  # whatever it is, it is about this object
            raise TransferError(target) from error


def _digests(path: Path, part_bytes: int) -> _Digests:
    """Return the MD5 of a file and those of its parts, from one reading."""
    whole, parts = md5(), []
    with path.open("rb") as file:
        while block := file.read(min(_BLOCK_BYTES, part_bytes)):
            part, left = md5(block), part_bytes - len(block)
            whole.update(block)
            while left and (block := file.read(min(_BLOCK_BYTES, left))):
                part.update(block)
                whole.update(block)
                left -= len(block)
            parts.append(part.digest())
    return _Digests(whole.hexdigest(), parts)
