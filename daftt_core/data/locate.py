"""Finds a source's files: on this machine, in a bucket or on a hub; one, or many.

Many are named by a pattern, or by the folder or prefix that they lie directly in. Every run looks
again, so files that arrive later are read by the next one. ``*``, ``?`` and ``[...]`` stand for
characters of one name, never for a ``/``, as in a shell.

A data set of the Hugging Face Hub is written ``hub:ORG/NAME:CONFIG@REVISION#SPLIT``; all but the
name may be left out. The ``datasets`` library fetches it and keeps it as Arrow files, which are
read like any others.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from daftt_core.data.rows import list_names
from daftt_core.errors import DataError, StorageError
from daftt_core.storage import open_storage
from daftt_core.tasks import Hub
from daftt_core.telemetry import log

_SHARDS = (".csv", ".tsv", ".jsonl", ".parquet", ".arrow")
SUFFIXES = (*_SHARDS, ".json")
"""Endings of files that can be read. In a folder, a ``.json`` is often about the data."""

_WILD = re.compile(r"[*?\[]")
HUB = "hub:"
_PLACE = re.compile(
    r"hub:(?P<path>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)"
    r"(?::(?P<config>[^:@#]+))?(?:@(?P<revision>[^#]+))?(?:#(?P<split>[\w.-]+))?"
)


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
    """Return the files that a setting names at this moment, by name.

    Args:
        setting: The parameter, for messages.
        place: A path or URI, whose last parts may be patterns; or a data set of a hub.
        scratch: Folder for files that must be fetched.

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
    except RuntimeError as error:  # ~ of a user who has no home
        raise DataError(f"{setting}: {place}: {error}") from None
    return [DataFile(name, Path(name)) for name in _usable(names, setting, place)]


def _on_this_machine(setting: str, path: Path) -> list[str]:
    if path.is_dir():
        children = sorted(child for child in path.glob("*") if not child.is_dir())
        names = _shards(setting, str(path), [child.name for child in children])
        names = [str(path / name) for name in names]
    elif path.exists() or not _WILD.search(str(path)):
        names = [str(path)]
    else:
        matches = glob.glob(str(path))  # noqa: PTH207
        names = sorted(name for name in matches if not Path(name).is_dir())
    for path in map(Path, names):
        # a pipe or a device would be waited for, or read forever
        if path.exists() and not path.is_file():
            raise DataError(f"{setting}: {path}: is no regular file")
        if path.is_symlink() and not path.exists():
            raise DataError(f"{setting}: {path}: is a link that leads to no file")
    return names


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
    names = _usable(sorted(names), setting, place)
    try:
        storage.download("", {name: entries[name].size for name in names}, scratch)
    except StorageError as error:
        raise StorageError(f"{setting}: {error}") from None
    return [DataFile(f"{fixed}/{name}", scratch / name) for name in names]


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(
        fnmatchcase(part, expected) and (expected.startswith(".") or not part.startswith("."))
        for part, expected in zip(parts, patterns, strict=True)
    )


def _shards(setting: str, place: str, names: Sequence[str]) -> list[str]:
    """Return the files of a folder that hold data; the log names those that are ignored."""
    visible = [name for name in names if "/" not in name and not name.startswith(".")]
    shards = [name for name in visible if name.lower().endswith(_SHARDS)]
    if others := [name for name in visible if not name.lower().endswith(_SHARDS)]:
        log.info("%s: %s: not read, by their names: %s", setting, place, list_names(others))
    return shards


def _usable(names: list[str], setting: str, place: str) -> list[str]:
    if wrong := [name for name in names if not name.lower().endswith(SUFFIXES)]:
        raise DataError(f"{setting}: {wrong[0]}: its name must end in {', '.join(SUFFIXES)}")
    if not names:
        problem = "no file matches" if _WILD.search(place) else "there is no such file"
        if "://" not in place and Path(place).expanduser().is_dir():
            problem = f"holds no data file ({', '.join(_SHARDS)})"
        raise DataError(f"{setting}: {place}: {problem}")
    return names


def hub_place(hub: Hub, split: str) -> str:
    """Return the written form of a split of a task's data set."""
    config = f":{hub.config}" if hub.config else ""
    return f"{HUB}{hub.path}{config}@{hub.revision}#{split}"


def fetch_hub(setting: str, place: str) -> list[Path]:
    """Fetch a split, unless it was fetched before.

    Args:
        setting: The parameter that stands for it, for messages.
        place: Its written form.

    Returns:
        Its Arrow files.

    Raises:
        DataError: It is not written as it should be, or cannot be fetched.
    """
    parts = _PLACE.fullmatch(place)
    if not parts:
        raise DataError(
            f"{setting}: {place}: is not written as hub:ORG/NAME:CONFIG@REVISION#SPLIT "
            "(all but the name may be left out; a split is a name, such as validation)"
        )
    try:
        dataset = load_from_hub(
            parts["path"], parts["config"], parts["split"] or "train", parts["revision"] or "main"
        )
    except DataError as error:
        raise DataError(f"{setting}: {place}: {error}; name files there") from None
    if not dataset.cache_files:
        raise DataError(f"{setting}: {place}: holds no rows")
    return [Path(file["filename"]) for file in dataset.cache_files]


def load_from_hub(name: str, config: str | None, split: str, revision: str | None) -> Any:
    """Return a split of a data set of the Hugging Face Hub, from the local cache if possible.

    Raises:
        DataError: The Hub does not deliver it; says why, but not which data set it is.
    """
    from datasets import load_dataset

    try:
        return load_dataset(name, config, split=split, revision=revision)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"the Hugging Face Hub could not deliver it ({reason})") from None
