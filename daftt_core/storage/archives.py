"""Taking single files out of zip and tar archives."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from daftt_core.errors import StorageError


def extract_file(archive: Path, names: Sequence[str], target: Path) -> None:
    """Copy one file out of an archive. No path is taken from the archive, only from the caller.

    Args:
        archive: A zip file (a wheel is one) or a tar file, compressed or not.
        names: The file's name in the archive; more than one name leads through archives in
            archives.
        target: Where the file goes.

    Raises:
        StorageError: There is no such plain file in the archive.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open("rb") as file:
            _copy(file, names, target)
    except KeyError:
        raise StorageError(f"{archive}: has no file {' / '.join(names)}") from None


def _copy(archive: IO[bytes], names: Sequence[str], target: Path) -> None:
    with _open_member(archive, names[0]) as member:
        if len(names) > 1:
            _copy(member, names[1:], target)
        else:
            with target.open("wb") as file:
                shutil.copyfileobj(member, file)


@contextmanager
def _open_member(archive: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle, bundle.open(name) as member:
            yield member
        return
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        info = tar.getmember(name)
        content = tar.extractfile(info) if info.isfile() else None
        if content is None:
            raise KeyError(name)
        yield content
