"""Gathers all sources of a run, as they are at this moment."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from daftt_core.config import DATA_FILES, DataConfig
from daftt_core.data.checks import check_apart
from daftt_core.data.files import read_file
from daftt_core.data.locate import HUB, DataFile, hub_place, locate
from daftt_core.data.rows import Row, Source, drop_duplicates, left_out_words
from daftt_core.data.sources import own_source
from daftt_core.data.splits import Regions, Sampler, cut
from daftt_core.data.text_files import SAVE_AS_UTF8
from daftt_core.errors import DataError
from daftt_core.storage.assets import known_assets
from daftt_core.tasks import Task


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
        """Return the SHA-256 of every source, by the setting that names it.

        Of several files it is the digest of their sorted digests: content counts, not names.
        """
        digests = {}
        for setting, files in self._files.items():
            each = sorted(_sha256(f"data_{setting}", file) for file in files)
            digests[setting] = (
                each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()
            )
        if "train" not in self._files and self._task.source in known_assets():
            digests["train"] = known_assets()[self._task.source].sha256
        return digests

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Return what the labelled sources hold; ``train`` is always there.

        Raises:
            DataError: A file cannot be used, or an input is in two sources, one of which a user
                could edit.
        """
        labelled = [name for name in ("train", "dev", "test") if name in self._files]
        sources = {setting: self._read_labelled(setting) for setting in labelled}
        if "train" not in sources:
            sources["train"] = own_source(self._task)
        for setting in filter(self._is_public, ("train", "dev")):
            sources[setting] = _without(sources, setting)
        check_apart({f"data_{name}": source.rows for name, source in sources.items()})
        return sources

    @cached_property
    def corrections(self) -> Source | None:
        """Return the corrected examples; None where the settings name none.

        Raises:
            DataError: The file cannot be used.
        """
        return self._read_labelled("corrections") if "corrections" in self._files else None

    def sample_inputs(self, count: int, seed: int, used: Mapping[str, str]) -> dict[str, Source]:
        """Draw from the inputs without outputs: of ``train`` and of the unlabelled source.

        Only what is drawn of the latter is held in memory. An input of the dev or test region that
        is labelled later will be dev or test: nothing may learn from it, so none is drawn.

        Args:
            count: How many inputs to draw from each, at most.
            seed: The run's seed.
            used: The split of each id that is used already; none of these is drawn.

        Returns:
            The samples by source, lowest place first; a source without such inputs is left out.

        Raises:
            DataError: A file cannot be used, or none holds a row that can be.
        """
        drawn = {}
        own = self.sources["train"].without_output if "train" in self._files else []
        if own:
            drawn["train"] = self._sample(own, Counter(), count, seed, used)
        if "unlabelled" in self._files:
            used = {row.example.id: "train" for row in own} | dict(used)
            left_out: Counter[str] = Counter()
            rows = self._rows("unlabelled", left_out)
            drawn["unlabelled"] = self._sample(rows, left_out, count, seed, used)
            if drawn["unlabelled"].read == left_out.total():
                raise self._nothing_in("unlabelled", left_out)
        return drawn

    def _sample(
        self,
        rows: Iterable[Row],
        left_out: Counter[str],
        count: int,
        seed: int,
        used: Mapping[str, str],
    ) -> Source:
        sampler = Sampler(count, seed, *self._shares(), used)
        for row in rows:
            sampler.offer(row)
        drawn = sampler.drawn()
        return Source(drawn.rows, dict(sorted((left_out + Counter(drawn.dropped)).items())))

    def regions(self, seed: int) -> Regions:
        """Cut ``train`` into regions; a split that has a file of its own takes nothing of it."""
        return cut(self.sources["train"].rows, seed, *self._shares())

    def _shares(self) -> tuple[float, float]:
        """Return the lengths of the test and the dev region."""
        return (
            0.0 if "test" in self._files else self._config.test_share,
            0.0 if "dev" in self._files else self._config.dev_share,
        )

    def _read_labelled(self, setting: str) -> Source:
        left_out: Counter[str] = Counter()
        rows = list(self._rows(setting, left_out))
        labelled = [row for row in rows if row.example.output is not None]
        if not labelled:
            raise self._nothing_in(setting, left_out, without_output=len(rows))
        source = drop_duplicates(labelled, labelled=self._task.is_classification)
        return Source(
            source.rows,
            dict(sorted((left_out + Counter(source.dropped)).items())),
            [row for row in rows if row.example.output is None],
        )

    def _rows(self, setting: str, left_out: Counter[str]) -> Iterator[Row]:
        sliced = setting == ("test" if "test" in self._files else "train")
        for file in self._files[setting]:
            yield from read_file(
                file,
                self._task,
                f"data_{setting}",
                left_out,
                with_output=setting != "unlabelled",
                strict=setting != "unlabelled" and not self._is_public(setting),
                may_lack_output=setting == "train",
                slice_column=self._config.slice_column if sliced else "",
            )

    def _is_public(self, setting: str) -> bool:
        """Return whether a hub delivers a source, so that no user can edit it."""
        return any(file.name.startswith(HUB) for file in self._files.get(setting, ()))

    def _nothing_in(
        self, setting: str, left_out: Counter[str], without_output: int = 0
    ) -> DataError:
        files = self._files[setting]
        where = f"data_{setting}: {files[0].name}:"
        if len(files) > 1:
            where = f"data_{setting}: all {len(files)} files"
        if without_output:
            problem = (
                f"{where} none of {without_output} rows has a {self._task.columns.output!r}; "
                "inputs without one belong in data_unlabelled, beside labelled examples here"
            )
        elif left_out.keys() - {"empty row"}:
            problem = f"{where} no row can be used; there must be at least one example"
        else:
            are = "is" if len(files) == 1 else "are"
            problem = f"{where} {are} empty; there must be at least one example"
        hint = f"; {SAVE_AS_UTF8}" if left_out["not UTF-8"] else ""
        return DataError(f"{problem}{left_out_words(left_out)}{hint}")


@contextmanager
def gather(task: Task, config: DataConfig) -> Iterator[Gathered]:
    """Find the files that the settings name, or else those of the task's own public data set.

    Files of a bucket are fetched and removed again; what a hub delivers stays in its cache.

    Args:
        task: The task.
        config: Where its data comes from.

    Raises:
        DataError: A file is not there, or a pattern matches none.
        StorageError: A bucket cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="daftt-data-") as scratch:
        yield Gathered(
            task,
            config,
            {
                setting: locate(label, place, Path(scratch) / setting)
                for setting, (label, place) in _places(task, config).items()
            },
        )


def _without(sources: Mapping[str, Source], setting: str) -> Source:
    """Return a source without the inputs of the sources that it must be apart from."""
    rows, dropped = sources[setting].rows, Counter(sources[setting].dropped)
    for later in filter(sources.__contains__, DATA_FILES[DATA_FILES.index(setting) + 1 :]):
        held = {row.example.id for row in sources[later].rows}
        free = [row for row in rows if row.example.id not in held]
        if len(free) < len(rows):
            dropped[f"also in {later}"] = len(rows) - len(free)
        rows = free
    return Source(rows, dict(sorted(dropped.items())), sources[setting].without_output)


def _places(task: Task, config: DataConfig) -> dict[str, tuple[str, str]]:
    """Return for each setting its name in messages, and the place."""
    places = {name: (f"data_{name}", getattr(config, name)) for name in DATA_FILES}
    if task.hub and not (config.train or task.source):
        for name, split in task.hub.splits:
            if split and not places[name][1]:
                places[name] = (f"data_{name} (task {task.id})", hub_place(task.hub, split))
    return {name: place for name, place in places.items() if place[1]}


def _sha256(setting: str, file: DataFile) -> str:
    try:
        with file.path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(f"{setting}: {file.name}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{setting}: {file.name}: cannot be read: {error.strerror}") from None
