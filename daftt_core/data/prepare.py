"""The stage that makes the splits."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from daftt_core.config import DATA_FILES, Config, DataConfig, parse_section
from daftt_core.data.checks import check_each_label, check_labels, check_pool
from daftt_core.data.gather import Gathered, gather
from daftt_core.data.locate import hub_place
from daftt_core.data.rows import Row, Source
from daftt_core.data.splits import Account, account_for, count_labels, share_of, take
from daftt_core.errors import DataError
from daftt_core.records import TRAITS, Example, Traits, seed_for, write_jsonl, write_text
from daftt_core.records.fingerprints import FORM, write_fingerprints
from daftt_core.stages import DATA, PREFLIGHT, TEST, DataResult, HoldoutResult
from daftt_core.tasks import Task
from daftt_core.telemetry import log
from daftt_core.workspace import Run, StageResult, read_file, run_stage

_NOTHING_TO_ANNOTATE = (
    "there is no unlabelled input, so nothing can be annotated: name inputs in data_unlabelled, or "
    "set data_labelled_count, so that rows beyond it serve as such"
)


@dataclass(frozen=True)
class _Splits:
    rows: dict[str, list[Row]]
    account: Account

    def examples(self, *names: str) -> list[Example]:
        """Return the examples of splits."""
        return [row.example for name in names for row in self.rows[name]]


def prepare(run: Run, config: DataConfig) -> StageResult[DataResult]:
    """Read the sources and commit the splits.

    Stage ``data`` gets ``labelled.jsonl``, ``dev.jsonl``, ``unlabelled.jsonl`` (without outputs),
    ``gold.jsonl`` (the unlabelled inputs with their true outputs, where those are known) and
    ``heldout.json`` (see :mod:`daftt_core.records.fingerprints`). Stage ``test`` gets
    ``test.jsonl`` alone, so that only who reads that stage can read test; and ``traits.json``, a
    :class:`Traits`.

    Args:
        run: The run.
        config: Where the data comes from and how it is split.

    Returns:
        The result of stage ``data``, with ``test_digest``.

    Raises:
        DataError: The data cannot be used; see :mod:`daftt_core.data.files` and
            :mod:`daftt_core.data.checks`.
        StorageError: Something cannot be fetched or written.
    """
    with gather(run.task, config) as gathered:
        return _prepare(run, config, gathered)


def _prepare(run: Run, config: DataConfig, gathered: Gathered) -> StageResult[DataResult]:
    digests = gathered.digests
    # Content counts, not where it lies: a file may move between two attempts.
    settings = config.model_dump(exclude={*DATA_FILES, "slice_column"})
    splits = functools.cache(lambda: _split(run, config, gathered))

    def write_test(folder: Path) -> HoldoutResult:
        test = splits().rows["test"]
        write_jsonl(folder / "test.jsonl", splits().examples("test"))
        write_text(folder / TRAITS, _traits(config, test).model_dump_json() + "\n")
        return HoldoutResult(size=len(test), labels=_labels(run.task, test))

    test = run_stage(run, TEST, [settings, digests, config.slice_column], write_test)

    def write_data(folder: Path) -> DataResult:
        gold = splits().examples("unlabelled")
        gold_is_known = all(example.output is not None for example in gold)
        write_jsonl(folder / "labelled.jsonl", splits().examples("labelled"))
        write_jsonl(folder / "dev.jsonl", splits().examples("dev"))
        hidden = (example.model_copy(update={"output": None}) for example in gold)
        write_jsonl(folder / "unlabelled.jsonl", hidden)
        if gold_is_known:
            write_jsonl(folder / "gold.jsonl", gold)
        write_fingerprints(folder / "heldout.json", splits().examples("dev", "test"))
        return DataResult(
            sizes={name: len(rows) for name, rows in splits().rows.items()},
            labels={
                name: _labels(run.task, rows)
                for name, rows in splits().rows.items()
                if name != "unlabelled"
            },
            rows=splits().account.rows,
            dropped=splits().account.dropped,
            source="files" if config.train else _own_source(run.task),
            license=run.task.license if not config.train else None,
            sha256=digests,
            gold_is_known=gold_is_known and bool(gold),
        )

    # Another slice_column rebuilds test, and nothing that was learned.
    result = run_stage(run, DATA, [settings, digests, FORM], write_data)
    _check_something_to_annotate(run, result.result.sizes["unlabelled"])
    return replace(result, result=result.result.model_copy(update={"test_digest": test.digest}))


def _split(run: Run, config: DataConfig, gathered: Gathered) -> _Splits:
    task, seed = run.task, run.seed
    sources, regions = gathered.sources, gathered.regions(seed)
    by_label = _by_label(task)
    test_pool = sources["test"].rows if "test" in sources else regions.test
    dev_pool = sources["dev"].rows if "dev" in sources else regions.dev
    test = take(test_pool, config.test_count, seed, **by_label)
    dev = take(dev_pool, config.dev_count, seed, **by_label)
    corrections = _usable_corrections(gathered.corrections, test_pool, dev_pool)
    corrected = {row.example.id for row in corrections.rows}
    pool = [row for row in regions.train if row.example.id not in corrected]
    labelled = _take_labelled(task, config, seed, pool, sources["train"].dropped)
    labelled += corrections.rows
    for name, rows in (("dev", dev), ("test", test)):
        check_labels(task, rows, name)

    splits = {"labelled": labelled, "dev": dev, "test": test}
    used = {row.example.id: name for name, rows in splits.items() for row in rows}
    spare = [row for row in pool if row.example.id not in used]
    known = used | {row.example.id: "train" for row in spare}
    drawn = gathered.sample_inputs(config.unlabelled_count, seed, known)
    inputs = [*spare, *(row for source in drawn.values() for row in source.rows)]
    splits["unlabelled"] = take(inputs, config.unlabelled_count, seed, by_label=False)
    if gathered.corrections:
        sources = {**sources, "corrections": corrections}
    account = account_for(sources, regions, drawn, splits)
    log.info("data: %s", account.in_words())
    if config.unlabelled_count and not splits["unlabelled"]:
        log.warning("data: %s", _NOTHING_TO_ANNOTATE)
    return _Splits(splits, account)


def _usable_corrections(source: Source | None, test: list[Row], dev: list[Row]) -> Source:
    """Return the corrections that may be learned from: those of no example of dev or test."""
    if source is None:
        return Source([], {})
    heldout = {row.example.id: "dev" for row in dev} | {row.example.id: "test" for row in test}
    dropped = Counter(source.dropped)
    for row in source.rows:
        if split := heldout.get(row.example.id):
            dropped[f"also in {split}"] += 1
    if held := sum(dropped[f"also in {split}"] for split in ("dev", "test")):
        log.warning(
            "data_corrections: %d of %d are of examples in dev or test, which nothing may learn "
            "from; they are left out",
            *(held, len(source.rows)),
        )
    free = [row for row in source.rows if row.example.id not in heldout]
    return Source(free, dict(sorted(dropped.items())))


def _take_labelled(
    task: Task, config: DataConfig, seed: int, pool: list[Row], left_out: Mapping[str, int]
) -> list[Row]:
    if config.labelled_fraction:
        setting, count = "labelled_fraction", share_of(config.labelled_fraction, len(pool))
    else:
        setting = "labelled_count"
        count = config.asked_labelled(task.labelled_count) or len(pool)
    check_pool(task, pool, count, f"data_{setting}", left_out)
    if count > len(pool):
        log.warning(
            "data_%s: asks for %d labelled examples; there are only %d, and all are used",
            *(setting, count, len(pool)),
        )
    drawn_by = seed_for(seed, "draw", str(config.draw)) if config.draw else seed
    taken = take(pool, count, drawn_by, **_by_label(task), at_least=1)
    check_each_label(task, taken, f"data_{setting}")
    return taken


def _check_something_to_annotate(run: Run, unlabelled: int) -> None:
    """Stop before a teacher is trained that would have nothing to do."""
    text = None if unlabelled else read_file(run.uri, PREFLIGHT, "config.json")
    if text and parse_section(Config, text.decode()).synthesis.mode == "annotate":
        raise DataError(f"synthesis_mode: annotate: {_NOTHING_TO_ANNOTATE}")


def _own_source(task: Task) -> str | None:
    hub = None if task.source else task.hub
    return hub_place(hub, hub.splits.train) if hub else task.source


def _traits(config: DataConfig, test: list[Row]) -> Traits:
    return Traits(
        characters={
            row.example.id: len(row.example.text) + len(row.example.text_pair or "") for row in test
        },
        column=config.slice_column,
        values={row.example.id: row.slice_value for row in test} if config.slice_column else {},
    )


def _labels(task: Task, rows: list[Row]) -> dict[str, int]:
    return count_labels(task, rows) if task.is_classification else {}


def _by_label(task: Task) -> dict[str, bool]:
    """Return how the examples of a task are taken in proportion, as arguments of ``take``."""
    return {"by_label": task.is_classification, "of_sets": task.is_multilabel}
