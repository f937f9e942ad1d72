"""Where a source's files are: on this machine, in a bucket or on a hub; one, or many.

Many are named by a pattern, or by the folder or prefix that they lie directly in. Either is looked
through anew by every run, so files that arrive later are read by the next one. ``*``, ``?`` and
``[...]`` stand for characters of one name, never for a ``/``, as in a shell.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from daftt_core.data.hub import HUB, fetch_hub
from daftt_core.errors import DataError, StorageError
from daftt_core.storage import open_storage

__all__ = ["SUFFIXES", "DataFile", "locate"]

_SHARDS = (".csv", ".tsv", ".jsonl", ".parquet", ".arrow")
SUFFIXES = (*_SHARDS, ".json")
"""Names of files that can be read end so. In a folder, a ``.json`` is often about the data."""

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
        place: A path or URI, whose last parts may be patterns; or a data set of a hub.
        scratch: Folder for what must be fetched.

    Raises:
        DataError: There is no such file, or none matches, or the hub does not deliver.
        StorageError: A bucket cannot be read.
    """
    if place.startswith(HUB):
        return [DataFile(place, path) for path in fetch_hub(setting, place)]
    if "://" in place and not place.startswith("file://"):
        return _fetch(setting, place, scratch)
    path = Path(place.removeprefix("file://")).expanduser()
    if path.is_dir():
        shards = sorted(child for child in path.glob("*") if _is_shard(child.name))
        return [
            DataFile(name, Path(name))
            for name in _some([str(shard) for shard in shards if shard.is_file()], setting, place)
        ]
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
    if not names and not _WILD.search(pattern):
        start = f"{pattern}/" if pattern else ""
        names = [n for n in entries if n.startswith(start) and _is_shard(n.removeprefix(start))]
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


def _is_shard(name: str) -> bool:
    return name.lower().endswith(_SHARDS) and "/" not in name and not name.startswith(".")


def _some(names: list[str], setting: str, place: str) -> Iterator[str]:
    if not names:
        what = "no file matches" if _WILD.search(place) else "there is no such file"
        if "://" not in place and Path(place).expanduser().is_dir():
            what = f"holds no data file ({', '.join(_SHARDS)})"
        raise DataError(f"{setting}: {place}: {what}")
    yield from names
