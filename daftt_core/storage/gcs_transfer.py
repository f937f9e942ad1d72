"""Many files and large files to and from a bucket, in parallel, and nothing twice.

A large file goes up as parts that the server then joins (``compose``, at most 32 parts), and comes
down in ranges. One of few parts goes up whole: joining costs more than one stream loses. What a
killed attempt had finished is reused: objects and parts on the server, known by their size and
crc32c, and ranges on the disk, known by a journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

from daftt_core.storage.copying import ChangedError, MissingError, TransferError
from daftt_core.storage.gcs_client import (
    DamagedError,
    Patience,
    is_damage,
    known_errors,
    status_of,
)
from daftt_core.storage.ranges import Journal, Mark, Slice, mark_of, marks_of_parts
from daftt_core.telemetry import Progress, count_bytes

_JOINS = 5  # as other processes may remove parts of the same file while these are joined
_MOST_PARTS = 32  # that one compose request takes
_BATCH = 256  # files between two reports of progress
_FEW_PARTS = 4  # files of no more than these go up whole
_CHUNK_BYTES = 64 * 2**20  # of one request, so a file that goes up whole is one; retried as a whole
_PARTS = ".parts/"
_LISTED_FIELDS = "items(name,size,crc32c,generation),nextPageToken"
_Errors = dict[str, BaseException | None]


class Transfer:
    """Copying of files to and from a bucket.

    Args:
        bucket: The client library's bucket.
        patience: How long to keep trying with each object.
        part_bytes: Larger files go in parts of this size.
        workers: How many requests run at once.
    """

    def __init__(self, bucket: Any, patience: Patience, part_bytes: int, workers: int) -> None:
        self._bucket, self._patience = bucket, patience
        self._part_bytes, self._workers = part_bytes, workers

    def upload(self, folder: Path, names: Sequence[str], prefix: str) -> None:
        """Store files as ``<prefix><name>``, except those that are stored already.

        Raises:
            TransferError: A file did not arrive as it is, at any attempt.
        """
        stored = self._stored(prefix)
        paths = {f"{prefix}{name}": folder / name for name in names}
        progress = Progress("upload", len(paths), "files")
        whole_bytes = _FEW_PARTS * self._part_bytes
        large = [target for target, path in paths.items() if path.stat().st_size > whole_bytes]
        for target in large:
            self._upload_parts(paths[target], target, stored.get(target))
            progress.advance()
        for batch in _batches([target for target in paths if target not in large], _BATCH):
            marks = {target: mark_of(paths[target]) for target in batch}
            pending = [target for target in batch if stored.get(target) != marks[target]]
            self._until_whole(pending, partial(self._upload_whole, paths, marks))
            count_bytes(stored=sum(marks[target].size for target in pending))
            progress.advance(len(batch))

    def download(self, prefix: str, sizes: Mapping[str, int], folder: Path) -> None:
        """Fetch objects ``<prefix><name>``, except those that are on the disk already.

        Raises:
            TransferError: An object is missing or did not arrive as it is, at any attempt.
        """
        blobs = self._listed(prefix)
        stored = {target: _mark_of_blob(blob) for target, blob in blobs.items()}
        paths = {f"{prefix}{name}": folder / name for name in sizes}
        for name, size in sizes.items():
            if stored.get(f"{prefix}{name}", Mark(-1, "")).size != size:
                raise TransferError(f"{prefix}{name}") from MissingError()
        journal = Journal(folder)
        pending = [
            target
            for target, path in paths.items()
            if not path.is_file() or mark_of(path) != stored[target]
        ]
        progress = Progress("download", len(paths), "files", done=len(paths) - len(pending))
        large = [target for target in pending if stored[target].size > self._part_bytes]
        for target in large:
            fetch = partial(self._download_ranges, blobs[target], paths[target], journal)
            self._until_whole([target], fetch)
            progress.advance()
        for batch in _batches([target for target in pending if target not in large], _BATCH):
            self._until_whole(batch, partial(self._download_whole, paths, blobs))
            count_bytes(fetched=sum(stored[target].size for target in batch))
            progress.advance(len(batch))
        journal.remove()

    @property
    def _options(self) -> dict[str, Any]:
        return {"retry": self._patience.retry, "timeout": self._patience.request_seconds}

    def _stored(self, prefix: str) -> dict[str, Mark]:
        return {name: _mark_of_blob(blob) for name, blob in self._listed(prefix).items()}

    def _listed(self, prefix: str) -> dict[str, Any]:
        """Return the stored objects by name; each holds its generation."""
        blobs = self._bucket.client.list_blobs(
            self._bucket.name, prefix=prefix, fields=_LISTED_FIELDS, **self._options
        )
        return {blob.name: blob for blob in blobs}

    def _pinned(self, blob: Any) -> Any:
        """Return an object in the generation that was listed, for one thread's use."""
        return self._bucket.blob(blob.name, generation=blob.generation)

    def _upload_whole(
        self, paths: Mapping[str, Path], marks: Mapping[str, Mark], targets: Sequence[str]
    ) -> _Errors:
        from google.cloud.storage import transfer_manager

        blobs = [self._bucket.blob(target, chunk_size=_CHUNK_BYTES) for target in targets]
        errors = transfer_manager.upload_many(
            [(str(paths[target]), blob) for target, blob in zip(targets, blobs, strict=True)],
            upload_kwargs={
                "checksum": "crc32c",
                "content_type": "application/octet-stream",
                "if_generation_match": 0,
                **self._options,
            },
            worker_type=transfer_manager.THREAD,
            max_workers=self._workers,
        )
        return {
            target: self._settled(blob, error, marks[target])
            for target, blob, error in zip(targets, blobs, errors, strict=True)
        }

    def _settled(self, blob: Any, error: Any, mark: Mark) -> BaseException | None:
        """Return an upload's error; None where the object has the right content, by any writer."""
        if isinstance(error, BaseException):
            if status_of(error) != 412:
                return error
            blob.reload(**self._options)
        if _mark_of_blob(blob) == mark:
            return None
        self._discard(blob.name)
        return DamagedError()

    def _discard(self, target: str) -> None:
        try:
            self._bucket.blob(target).delete(**self._options)
        except known_errors() as error:
            if status_of(error) != 404:
                raise

    def _upload_parts(self, path: Path, target: str, stored: Mark | None) -> None:
        """Send a large file in parts and let the server join them, unless it is stored already.

        Another process may be doing the same with the same parts, and remove them when it is done.
        """
        size = max(self._part_bytes, math.ceil(path.stat().st_size / _MOST_PARTS))
        mark, of_parts = marks_of_parts(path, size)
        if stored == mark:
            return
        folder, _, name = target.rpartition("/")
        prefix = f"{folder}/{_PARTS}{name}/{size}-"
        parts = {f"{prefix}{start:015d}": start for start in range(0, mark.size, size)}
        marks = dict(zip(parts, of_parts, strict=True))
        for _ in range(_JOINS):
            stored_parts = self._stored(prefix)
            missing = [part for part in parts if stored_parts.get(part) != marks[part]]
            done = len(parts) - len(missing)
            progress = Progress(f"upload {path.name}", len(parts), "parts", done=done)
            self._until_whole(missing, partial(self._send_parts, path, parts, marks, progress))
            count_bytes(stored=sum(marks[part].size for part in missing))
            if self._join(target, list(parts), mark):
                self._in_parallel(list(parts), self._discard)
                return
        raise TransferError(target) from DamagedError()

    def _send_parts(
        self,
        path: Path,
        parts: Mapping[str, int],
        marks: Mapping[str, Mark],
        progress: Progress,
        targets: Sequence[str],
    ) -> _Errors:
        def send(target: str) -> None:
            blob = self._bucket.blob(target, chunk_size=_CHUNK_BYTES)
            size = marks[target].size
            with path.open("rb") as file:
                blob.upload_from_file(
                    Slice(file, parts[target], size), size=size, checksum="crc32c", **self._options
                )
            damage = self._settled(blob, None, marks[target])
            if damage is not None:
                raise damage

        return self._in_parallel(targets, send, progress)

    def _join(self, target: str, parts: list[str], mark: Mark) -> bool:
        blob = self._bucket.blob(target)
        blob.content_type = "application/octet-stream"
        try:
            sources = [self._bucket.blob(part) for part in parts]
            blob.compose(sources, if_generation_match=0, **self._options)
        except known_errors() as error:
            if status_of(error) not in (404, 412):
                raise TransferError(target) from error
            blob = self._bucket.get_blob(target, **self._options)
        return blob is not None and self._settled(blob, None, mark) is None

    def _download_whole(
        self, paths: Mapping[str, Path], blobs: Mapping[str, Any], targets: Sequence[str]
    ) -> _Errors:
        from google.cloud.storage import transfer_manager

        for target in targets:
            paths[target].parent.mkdir(parents=True, exist_ok=True)
        errors = transfer_manager.download_many(
            [(self._pinned(blobs[target]), str(paths[target])) for target in targets],
            # at once, because the library takes 8 kB at a time from a stream
            download_kwargs={"checksum": "crc32c", "single_shot_download": True, **self._options},
            worker_type=transfer_manager.THREAD,
            max_workers=self._workers,
        )
        return {target: _changed_or(error) for target, error in zip(targets, errors, strict=True)}

    def _download_ranges(
        self, listed: Any, path: Path, journal: Journal, _targets: Sequence[str]
    ) -> _Errors:
        """Fetch a large object range by range into a file of its full size."""
        mark = _mark_of_blob(listed)
        ranges = str(self._part_bytes)

        def fetch(start: str) -> None:
            first = int(start)
            last = min(first + self._part_bytes, mark.size) - 1
            with path.open("r+b") as file:
                file.seek(first)
                self._pinned(listed).download_to_file(
                    file,
                    start=first,
                    end=last,
                    checksum=None,
                    single_shot_download=True,
                    **self._options,
                )
                if file.tell() != last + 1:
                    raise DamagedError
            journal.add(path, first, ranges)

        done = journal.start(path, mark.size, ranges)
        starts = [str(start) for start in range(0, mark.size, self._part_bytes)]
        missing = [start for start in starts if int(start) not in done]
        progress = Progress(f"download {path.name}", len(starts), "parts", done=len(done))
        errors = [error for error in self._in_parallel(missing, fetch, progress).values() if error]
        if errors:
            return {listed.name: _changed_or(errors[0])}
        count_bytes(fetched=sum(min(self._part_bytes, mark.size - int(start)) for start in missing))
        journal.forget(path)
        return {listed.name: None if mark_of(path) == mark else DamagedError()}

    def _in_parallel(
        self, names: Sequence[str], work: Callable[[str], None], progress: Progress | None = None
    ) -> _Errors:
        """Call a function with each name; start no further call after an error beyond damage."""
        errors: _Errors = {}
        with ThreadPoolExecutor(self._workers) as pool:
            futures = {pool.submit(work, name): name for name in names}
            for future in as_completed(futures):
                errors[futures[future]] = error = future.exception()
                if error is None and progress:
                    progress.advance()
                if error is not None and not is_damage(error):
                    pool.shutdown(wait=False, cancel_futures=True)
                    break  # as_completed is not told of what is cancelled, and would wait for it
        return errors

    def _until_whole(
        self, targets: Sequence[str], attempt: Callable[[Sequence[str]], _Errors]
    ) -> None:
        """Copy objects, and copy those again that arrived damaged."""
        pending = list(targets)

        def copy() -> None:
            nonlocal pending
            failed = {name: error for name, error in attempt(pending).items() if error}
            pending = list(failed)
            if failed:
                name = min(failed, key=lambda name: is_damage(failed[name]))  # the worst first
                raise TransferError(name) from failed[name]

        self._patience.until_whole(copy)


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _mark_of_blob(blob: Any) -> Mark:
    return Mark(int(blob.size), blob.crc32c)


def _changed_or(error: BaseException | None) -> BaseException | None:
    """Return the error of a download, which after a 404 means that a known object changed."""
    return ChangedError() if error is not None and status_of(error) == 404 else error
