"""All sources of a run, as they are at this moment."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from daftt_core.assets import known_assets
from daftt_core.config import DataConfig
from daftt_core.data.checks import check_apart
from daftt_core.data.files import read_file
from daftt_core.data.places import DataFile, locate
from daftt_core.data.rows import Row, Source, drop_duplicates
from daftt_core.data.sources import own_source
from daftt_core.data.splits import Regions, cut
from daftt_core.errors import DataError
from daftt_core.tasks import Task

__all__ = ["FILES", "Gathered", "gather"]

FILES = ("train", "dev", "test", "unlabelled")
"""The settings of DataConfig that name files."""


class Gathered:
    """The sources of a run.

    Args:
        task: The task.
        config: Where its data comes from.
        files: The files by setting; a setting that names none is left out.
    """

    def __init__(
        self, task: Task, config: DataConfig, files: Mapping[str, Sequence[DataFile]]
    ) -> None:
        self._task, self._config, self._files = task, config, files

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of every source, by the name of the setting it stands for.

        Of several files it is the digest of theirs, in order: content counts, and not names.
        """
        digests = {}
        for setting, files in self._files.items():
            each = sorted(_sha256(f"data.{setting}", file) for file in files)
            digests[setting] = (
                each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()
            )
        if "train" not in self._files and self._task.source in known_assets():
            digests["train"] = known_assets()[self._task.source].sha256
        return digests

    @cached_property
    def sources(self) -> dict[str, Source]:
        """What they hold; ``train`` is always there.

        Raises:
            DataError: A file cannot be used, or an input is in two of the labelled sources.
        """
        sources = {setting: self._read(setting) for setting in FILES if setting in self._files}
        if "train" not in sources:
            sources["train"] = own_source(self._task)
        labelled = {name: source for name, source in sources.items() if name != "unlabelled"}
        check_apart({f"data.{name}": source.rows for name, source in labelled.items()})
        return sources

    def regions(self, seed: int) -> Regions:
        """``train``, cut; a split that has a file of its own takes nothing of it."""
        return self.cut(self.sources["train"].rows, seed)

    def cut(self, rows: Sequence[Row], seed: int) -> Regions:
        """Rows by the region of ``train`` in which they lie, or would lie if they had labels."""
        return cut(
            rows,
            seed,
            test_share=0.0 if "test" in self._files else self._config.test_share,
            dev_share=0.0 if "dev" in self._files else self._config.dev_share,
        )

    def _read(self, setting: str) -> Source:
        with_output = setting != "unlabelled"
        files = self._files[setting]
        sliced = setting == ("test" if "test" in self._files else "train")
        rows: list[Row] = []
        for file in files:
            rows += read_file(
                file,
                self._task,
                f"data.{setting}",
                with_output=with_output,
                slice_column=self._config.slice_column if sliced else "",
                needed=len(files) == 1,
            )
        if not rows:
            raise DataError(
                f"data.{setting}: all {len(files)} files are empty; there must be at least one "
                "example"
            )
        return drop_duplicates(rows, labelled=with_output and self._task.is_classification)


@contextmanager
def gather(task: Task, config: DataConfig) -> Iterator[Gathered]:
    """Find the files that the settings name; those in a bucket are fetched and removed again.

    Args:
        task: The task.
        config: Where its data comes from.

    Raises:
        DataError: A file is not there, or a pattern matches none.
        StorageError: A bucket cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="daftt-data-") as scratch:
        places = {setting: getattr(config, setting) for setting in FILES}
        yield Gathered(
            task,
            config,
            {
                setting: locate(f"data.{setting}", place, Path(scratch) / setting)
                for setting, place in places.items()
                if place
            },
        )


def _sha256(setting: str, file: DataFile) -> str:
    try:
        with file.path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(f"{setting}: {file.name}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{setting}: {file.name}: cannot be read: {error.strerror}") from None
