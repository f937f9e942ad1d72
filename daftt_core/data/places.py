"""Where a source's files are: on this machine or in a bucket, one by name or many by a pattern.

A pattern is matched anew by every run, so files that arrive later are read by the next one. ``*``,
``?`` and ``[...]`` stand for characters of one name, never for a ``/``, as in a shell.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from daftt_core.errors import DataError, StorageError
from daftt_core.storage import open_storage

__all__ = ["DataFile", "locate"]

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class DataFile:
    """A file of a source.

    Attributes:
        name: Where it is, as messages name it.
        path: Where it lies on this machine.
    """

    name: str
    path: Path


def locate(setting: str, place: str, scratch: Path) -> list[DataFile]:
    """The files that a setting names at this moment, by name.

    Args:
        setting: The parameter, for messages.
        place: A path or URI; its last parts may be patterns.
        scratch: Folder for what must be fetched.

    Raises:
        DataError: There is no such file, or none matches.
        StorageError: A bucket cannot be read.
    """
    if "://" in place and not place.startswith("file://"):
        return _fetch(setting, place, scratch)
    path = Path(place.removeprefix("file://")).expanduser()
    if path.is_dir():
        raise DataError(
            f"{setting}: {place}: is a folder; name its files, such as {place.rstrip('/')}/*.csv"
        )
    if path.exists() or not _WILD.search(place):
        return [DataFile(str(path), path)]
    found = sorted(name for name in glob.glob(str(path)) if Path(name).is_file())  # noqa: PTH207
    return [DataFile(name, Path(name)) for name in _some(found, setting, place)]


def _fetch(setting: str, place: str, scratch: Path) -> list[DataFile]:
    fixed = _WILD.split(place, maxsplit=1)[0].rpartition("/")[0]
    if fixed.endswith(("/", ":")):  # the wildcard is in the bucket's own name
        raise DataError(f"{setting}: {place}: has no place for a bucket's name")
    storage, pattern = open_storage(fixed), place.removeprefix(f"{fixed}/")
    entries = storage.entries(_WILD.split(pattern, maxsplit=1)[0])
    names = [name for name in entries if _matches(name, pattern)]
    try:
        storage.download("", {name: entries[name].size for name in names}, scratch)
    except StorageError as error:
        raise StorageError(f"{setting}: {error}") from None
    return [
        DataFile(f"{fixed}/{name}", scratch / name) for name in _some(sorted(names), setting, place)
    ]


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(
        fnmatchcase(part, wanted) and (wanted.startswith(".") or not part.startswith("."))
        for part, wanted in zip(parts, patterns, strict=True)
    )


def _some(names: list[str], setting: str, place: str) -> Iterator[str]:
    if not names:
        what = "no file matches" if _WILD.search(place) else "there is no such file"
        raise DataError(f"{setting}: {place}: {what}")
    yield from names
