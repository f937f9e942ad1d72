"""Finds the tasks of a mixture: in a folder, a bucket, or a ``datasets`` data set.

A source lists names first and reads one task at a time, so that 20 tasks of 1,600 cost 20 files.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from daftt_core.data.locate import load_from_hub
from daftt_core.data.sni import SniTask, parse_task
from daftt_core.errors import DataError, StorageError
from daftt_core.records.parsing import hub_id
from daftt_core.storage import Storage, open_storage

_SETTING = "mixture_source"
_SUFFIX = ".json"
# All of the 1,600 published files are well below this; a task is read into memory.
_MAX_BYTES = 128 * 2**20
_MAX_ROWS = 200_000
_SAVED = ("dataset_info.json", "dataset_dict.json")
_COLUMNS = ("task_name", "definition", "inputs", "targets")


class TaskSource(Protocol):
    """A set of tasks by name."""

    def names(self) -> list[str]:
        """Return every task's name, in any order."""

    def read(self, name: str) -> tuple[SniTask, str]:
        """Return a task, and the SHA-256 of its content."""


def open_source(source: str) -> TaskSource:
    """Return the tasks that the setting ``mixture.source`` names.

    Args:
        source: A folder or storage prefix of task files, a saved data set's folder, a Hub id, or
            empty for the mixture that comes with DAFTT.

    Raises:
        DataError: There is no such source, or it holds no tasks.
        StorageError: It cannot be reached.
    """
    if not source:
        own = resources.files("daftt_core.tasks") / "builtin" / "mixture"
        return _Files(open_storage(str(own)))
    if "://" in source and not source.startswith("file://"):
        return _Files(open_storage(source))
    folder = Path(source.removeprefix("file://")).expanduser()
    if any((folder / name).is_file() for name in _SAVED):
        return _DataSet(_saved(folder), str(folder))
    if folder.is_dir():
        return _Files(open_storage(str(folder)))
    identifier = None if folder.exists() else hub_id(source)
    if identifier is None:
        raise DataError(
            f"{_SETTING}: {source}: there is no such folder (a gs:// prefix and a Hugging Face Hub "
            "id such as org/name or org/name@revision are allowed too)"
        )
    try:
        rows = load_from_hub(identifier.name, None, "train", identifier.revision)
    except DataError as error:
        raise DataError(f"{_SETTING}: {identifier.name}: is no folder here, and {error}") from None
    return _DataSet(rows, source)


class _Files:
    """Task files directly below a folder or prefix."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        entries = storage.entries("")
        self._sizes = {
            name.removesuffix(_SUFFIX): entry.size
            for name, entry in entries.items()
            if name.endswith(_SUFFIX) and "/" not in name and not name.startswith(".")
        }
        if not self._sizes:
            below = sorted({n.rpartition("/")[0] for n in entries if n.endswith(_SUFFIX)} - {""})
            hint = f"; there are some in its folder {below[0]!r}" if below else ""
            raise DataError(f"{_SETTING}: {storage.uri}: holds no task files ({_SUFFIX}){hint}")

    def names(self) -> list[str]:
        """Return the names of the files, without their ending."""
        return list(self._sizes)

    def read(self, name: str) -> tuple[SniTask, str]:
        """Read and check one file."""
        where = f"{self._storage.uri}/{name}{_SUFFIX}"
        if self._sizes[name] > _MAX_BYTES:
            raise DataError(
                f"{where}: is {self._sizes[name] / 1e6:,.0f} MB; a task file may have "
                f"{_MAX_BYTES / 1e6:,.0f} MB, so this is none: move it away or exclude it"
            )
        content = self._storage.read(f"{name}{_SUFFIX}")
        if content is None:
            raise StorageError(f"{where}: was removed while it was being used")
        return parse_task(content.data, where), hashlib.sha256(content.data).hexdigest()


class _DataSet:
    """A data set with a row for each instance, and the task's name and definition in each row."""

    def __init__(self, rows: Any, where: str) -> None:
        self._rows, self._where = rows.flatten_indices(), where
        self._license = [rows.info.license] if rows.info.license else []
        missing = [name for name in _COLUMNS if name not in rows.column_names]
        if missing:
            raise DataError(
                f"{_SETTING}: {where}: has no column {missing[0]!r} (columns found: "
                f"{', '.join(rows.column_names)}; needed: {', '.join(_COLUMNS)})"
            )

    def names(self) -> list[str]:
        """Return every value of the column ``task_name``."""
        names = self._rows.unique("task_name")
        if not all(isinstance(name, str) and name for name in names):
            raise DataError(f"{_SETTING}: {self._where}: task_name: must be text in every row")
        return list(names)

    def read(self, name: str) -> tuple[SniTask, str]:
        """Put the rows of one task together."""
        import pyarrow.compute

        where = f"{_SETTING}: {self._where}: task {name!r}"
        matches = pyarrow.compute.equal(self._rows.data.column("task_name"), name)
        chosen = pyarrow.compute.indices_nonzero(matches).to_pylist()
        if len(chosen) > _MAX_ROWS:
            raise DataError(f"{where}: has {len(chosen):,} rows; {_MAX_ROWS:,} are allowed")
        rows = [{column: row[column] for column in _COLUMNS} for row in self._rows.select(chosen)]
        fields = {
            "Definition": rows[0]["definition"],
            "Instance License": self._license,
            "Instances": [{"input": row["inputs"], "output": row["targets"]} for row in rows],
        }
        lines = sorted(json.dumps(row, sort_keys=True) for row in rows)
        return parse_task(fields, where), hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _saved(folder: Path) -> Any:
    from datasets import DatasetDict, load_from_disk

    try:
        dataset = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{_SETTING}: {folder}: cannot be read as a data set: {reason}") from None
    if not isinstance(dataset, DatasetDict):
        return dataset
    if "train" not in dataset:
        splits = ", ".join(dataset)
        raise DataError(f"{_SETTING}: {folder}: has no split 'train' (found: {splits})")
    return dataset["train"]
