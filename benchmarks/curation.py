"""How long curation takes for each record, how much memory, and what it finds.

    python benchmarks/curation.py                       # 10,000 and 100,000 records
    python benchmarks/curation.py --records 1000000

Records as a teacher writes them (half annotated, half generated, sentences of 8 to 40 words) go
through the whole stage: shards are read, every filter is applied except the language's, which is
off by default, and the kept and the rejected are written. Planted among them are exact duplicates
(2%), near duplicates (5%: one word in twelve replaced, so that most are above the threshold) and
overlaps with held-out examples (1%). Limits: 10 minutes and 2 GiB for a million on two cores, and
the same processor time for each record at every size; time by the clock depends on what else the
machine does. The peer, for near duplicates alone and at the smallest size, is the plain loop with
datasketch: ``MinHash.update`` gram by gram and ``MinHashLSH`` record by record.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasketch import MinHash, MinHashLSH

from daftt_core.config import CurationConfig
from daftt_core.curation import curate
from daftt_core.curation.duplicates import near_duplicates, similarity
from daftt_core.curation.rows import Row, Spool
from daftt_core.records import (
    Example,
    Rejection,
    SyntheticExample,
    iterate_jsonl,
    normalize,
    write_jsonl,
)
from daftt_core.records.fingerprints import write_fingerprints
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, run_stage

_SHARDS = 4
_HELD_OUT, _LABELLED = 2000, 500
_EXACT, _NEAR, _OVERLAP = 0.02, 0.05, 0.01
_REPLACED_WORDS = 1 / 12
_CONFIG = CurationConfig(keep_share=1.0, balance=False)


def main() -> None:
    """Measure each size in a process of its own and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000])
    sizes = parser.parse_args().records
    spawn = multiprocessing.get_context("spawn")
    smallest = min(sizes)
    with spawn.Pool(1) as pool:
        ours, theirs = pool.apply(_against_datasketch, (smallest,))
    print(
        f"near duplicates of {smallest:,}: ours {ours / smallest * 1e6:.0f} us/record, datasketch "
        f"one by one {theirs / smallest * 1e6:.0f} us/record: {theirs / ours:.1f} times as long",
        flush=True,
    )
    print("records    seconds  CPU s  CPU us/record  peak GiB  kept     near found  overlaps found")
    for records in sizes:
        with tempfile.TemporaryDirectory() as folder, spawn.Pool(1) as pool:
            pool.apply(_prepare, (folder, records))
            with spawn.Pool(1) as measured:  # its peak memory is that of curation alone
                found = measured.apply(_curate, (folder,))
            near, overlaps = pool.apply(_found, (folder,))
        print(
            f"{records:<9,}  {found['seconds']:7.1f}  {found['cpu']:5.1f}  "
            f"{found['cpu'] / records * 1e6:13.0f}  {found['gib']:8.2f}  {found['kept']:<7,}  "
            f"{near:<10}  {overlaps}",
            flush=True,
        )


def _words(seed: str, count: int) -> list[str]:
    """Made-up words whose frequencies fall as those of a language do (Zipf)."""
    choice = random.Random(seed)
    letters = "eeeettaaooiinnsshhrrddlucmwfgypbvk"
    return ["".join(choice.choices(letters, k=choice.randint(2, 9))) for _ in range(count)]


class _Writer:
    """Writes sentences; the same seed gives the same ones."""

    def __init__(self, seed: str) -> None:
        self.choice = random.Random(seed)
        self._words = _words("words", 30_000)
        self._weights = [1 / (rank + 10) for rank in range(len(self._words))]
        self._stock: list[str] = []

    def word(self) -> str:
        if not self._stock:
            self._stock = self.choice.choices(self._words, self._weights, k=100_000)
        return self._stock.pop()

    def sentence(self) -> str:
        return " ".join(self.word() for _ in range(self.choice.randint(8, 40)))

    def almost(self, text: str) -> str:
        words = text.split()
        for _ in range(max(1, round(len(words) * _REPLACED_WORDS))):
            words[self.choice.randrange(len(words))] = self.word()
        return " ".join(words)


def _records(count: int, held_out: list[str]) -> Iterator[tuple[str, str]]:
    """Texts, each with what it was planted as: "", "exact", "near <text>" or "overlap"."""
    writer = _Writer("records")
    recent = [writer.sentence()]
    for _ in range(count):
        draw = writer.choice.random()
        if draw < _EXACT:
            yield writer.choice.choice(recent).upper(), "exact"
        elif draw < _EXACT + _NEAR:
            text = writer.choice.choice(recent)
            yield writer.almost(text), f"near {text}"
        elif draw < _EXACT + _NEAR + _OVERLAP:
            words = writer.choice.choice(held_out).split()
            yield f"{writer.sentence()} {' '.join(words[:8])} {writer.word()}", "overlap"
        else:
            text = writer.sentence()
            recent = [*recent[-999:], text]
            yield text, ""


def _run(folder: str) -> Run:
    return Run(uri=f"{folder}/run", seed=7, task=load_task("movie-reviews"))


def _prepare(folder: str, count: int) -> None:
    run, writer = _run(folder), _Writer("real")
    held_out = [writer.sentence() for _ in range(_HELD_OUT)]
    labelled = [Example.of(writer.sentence(), output="positive") for _ in range(_LABELLED)]
    made = list(_records(count, held_out))

    def data(stage: Path) -> dict[str, Any]:
        write_jsonl(stage / "labelled.jsonl", labelled)
        texts = (text for text, kind in made[::2] if not kind)
        write_jsonl(stage / "unlabelled.jsonl", map(Example.of, texts))
        write_fingerprints(stage / "heldout.json", map(Example.of, held_out))
        return {}

    run_stage(run, "data", [], data)
    for shard in range(_SHARDS):

        def synthetic(stage: Path, shard: int = shard) -> dict[str, Any]:
            records = (_record(n, made[n][0]) for n in range(shard, count, _SHARDS))
            write_jsonl(stage / "examples.jsonl", records)
            return {}

        run_stage(run, f"synthetic/shard-{shard}", [shard], synthetic)
    with (Path(folder) / "planted").open("w", encoding="utf-8") as file:
        for text, kind in made:
            if kind.startswith("near ") or kind == "overlap":
                file.write(f"{text}\t{kind}\n")


def _record(number: int, text: str) -> SyntheticExample:
    choice = random.Random(number)
    label, confidence = choice.choice(("negative", "positive")), choice.uniform(0.5, 1)
    other = "positive" if label == "negative" else "negative"
    return SyntheticExample(
        **Example.of(text, output=label).model_dump(),
        source="generated" if number % 2 else "annotated",
        confidence=confidence,
        distribution={label: confidence, other: 1 - confidence},
        asked=choice.choice(("negative", "positive")) if number % 2 else None,
    )


def _curate(folder: str) -> dict[str, float]:
    run = _run(folder)
    stages = [path.parent for path in Path(folder).glob("run/synthetic/*/manifest.json")]
    digests = {f"synthetic/{path.name}": _digest(path) for path in stages}
    started, cpu = time.perf_counter(), time.process_time()
    result = curate(run, _CONFIG, _digest(run.folder / "data"), digests, [])
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "kept": sum(funnel["kept"] for funnel in result.summary["funnel"].values()),
    }


def _digest(stage: Path) -> str:
    from daftt_core.storage import read_manifest

    manifest = read_manifest(stage)
    assert manifest is not None
    return manifest.digest


def _found(folder: str) -> tuple[str, str]:
    """The planted near duplicates (at the threshold or above) and overlaps that were rejected."""
    curated = _run(folder).folder / "curated"
    rejected = {
        rejection.example.id: rejection.reason
        for rejection in iterate_jsonl(curated / "rejected.jsonl", Rejection)
    }
    near, overlaps = [0, 0], [0, 0]
    for line in (Path(folder) / "planted").read_text(encoding="utf-8").splitlines():
        text, kind = line.split("\t")
        example = Example.of(text)
        if kind == "overlap":
            overlaps[0] += rejected.get(example.id) == "overlap"
            overlaps[1] += 1
        else:
            original = Example.of(kind.removeprefix("near "))
            if similarity(example, original) >= _CONFIG.near_duplicate:
                # either of the two may be the one that stays
                near[0] += example.id in rejected or original.id in rejected
                near[1] += 1
    return f"{near[0] / near[1]:.1%}", f"{overlaps[0] / overlaps[1]:.1%}"


def _against_datasketch(count: int) -> tuple[float, float]:
    writer = _Writer("held out")
    texts = dict.fromkeys(text for text, _ in _records(count, [writer.sentence()]))
    examples = (SyntheticExample(**Example.of(text).model_dump(), source="generated")
                for text in texts)  # fmt: skip
    with Spool() as spool:
        rows = [Row.of(example, spool, labelled=False) for example in examples]
        started = time.process_time()
        for _ in near_duplicates(rows, _CONFIG.near_duplicate):
            continue
        ours = time.process_time() - started
    started = time.process_time()
    index = MinHashLSH(threshold=_CONFIG.near_duplicate, num_perm=128)
    for key, text in enumerate(texts):
        plain, sketch = normalize(text), MinHash(num_perm=128)
        for start in range(max(1, len(plain) - 4)):
            sketch.update(plain[start : start + 5].encode())
        if not index.query(sketch):
            index.insert(key, sketch)
    return ours, time.process_time() - started


if __name__ == "__main__":
    main()
