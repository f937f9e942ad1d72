"""Where a source's files are: on this machine, in a bucket or on a hub; one, or many.

Many are named by a pattern, or by the folder or prefix that they lie directly in. Either is looked
through anew by every run, so files that arrive later are read by the next one. ``*``, ``?`` and
``[...]`` stand for characters of one name, never for a ``/``, as in a shell.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from daftt_core.data.rows import list_names
from daftt_core.data.sources import HUB, fetch_hub
from daftt_core.errors import DataError, StorageError
from daftt_core.storage import open_storage
from daftt_core.telemetry import log

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
    try:
        path = Path(place.removeprefix("file://")).expanduser()
        names = _on_this_machine(setting, path)
    except OSError as error:  # such as a name that is too long
        raise DataError(f"{setting}: {place}: cannot be read: {error.strerror}") from None
    except RuntimeError as error:  # ~ of somebody who has no home
        raise DataError(f"{setting}: {place}: {error}") from None
    return [DataFile(name, Path(name)) for name in _some(names, setting, place)]


def _on_this_machine(setting: str, path: Path) -> list[str]:
    if path.is_dir():
        children = sorted(child for child in path.glob("*") if not child.is_dir())
        names = _shards(setting, str(path), [child.name for child in children])
        names = [str(path / name) for name in names]
    elif path.exists() or not _WILD.search(str(path)):
        names = [str(path)]
    else:
        found = glob.glob(str(path))  # noqa: PTH207
        names = sorted(name for name in found if not Path(name).is_dir())
    for name in names:
        if Path(name).is_symlink() or Path(name).exists():
            _check_kind(setting, Path(name))
    return names


def _check_kind(setting: str, path: Path) -> None:
    """A pipe or a device would be waited for, or read for ever."""
    if not path.is_file():
        what = "is no regular file" if path.exists() else "is a link that leads to no file"
        raise DataError(f"{setting}: {path}: {what}")


def _fetch(setting: str, place: str, scratch: Path) -> list[DataFile]:
    fixed = _WILD.split(place, maxsplit=1)[0].rpartition("/")[0]
    if fixed.endswith(("/", ":")):  # the wildcard is in the bucket's own name
        raise DataError(f"{setting}: {place}: has no place for a bucket's name")
    storage, pattern = open_storage(fixed), place.removeprefix(f"{fixed}/")
    entries = storage.entries(_WILD.split(pattern, maxsplit=1)[0])
    names = [name for name in entries if _matches(name, pattern)]
    if not names and not _WILD.search(pattern):
        start = f"{pattern}/" if pattern else ""
        below = [name.removeprefix(start) for name in entries if name.startswith(start)]
        names = [f"{start}{name}" for name in _shards(setting, place, below)]
    names = list(_some(sorted(names), setting, place))
    try:
        storage.download("", {name: entries[name].size for name in names}, scratch)
    except StorageError as error:
        raise StorageError(f"{setting}: {error}") from None
    return [DataFile(f"{fixed}/{name}", scratch / name) for name in names]


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(
        fnmatchcase(part, wanted) and (wanted.startswith(".") or not part.startswith("."))
        for part, wanted in zip(parts, patterns, strict=True)
    )


def _shards(setting: str, place: str, names: Sequence[str]) -> list[str]:
    """Those files of a folder that hold data; the log names those that are passed over."""
    seen = [name for name in names if "/" not in name and not name.startswith(".")]
    shards = [name for name in seen if name.lower().endswith(_SHARDS)]
    if others := [name for name in seen if not name.lower().endswith(_SHARDS)]:
        log.info("%s: %s: not read, by their names: %s", setting, place, list_names(others))
    return shards


def _some(names: list[str], setting: str, place: str) -> Iterator[str]:
    if wrong := [name for name in names if not name.lower().endswith(SUFFIXES)]:
        raise DataError(f"{setting}: {wrong[0]}: its name must end in {', '.join(SUFFIXES)}")
    if not names:
        what = "no file matches" if _WILD.search(place) else "there is no such file"
        if "://" not in place and Path(place).expanduser().is_dir():
            what = f"holds no data file ({', '.join(_SHARDS)})"
        raise DataError(f"{setting}: {place}: {what}")
    yield from names
