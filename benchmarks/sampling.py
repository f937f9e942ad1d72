"""How long it takes to draw from many unlabelled rows, and how much memory.

    python benchmarks/sampling.py                     # 1,000,000 rows
    python benchmarks/sampling.py --rows 10000000 --formats parquet

Rows are generated (sentences of 8 to 24 words, 2% of them repeated) into shards of 100,000, JSON
lines and Parquet. Each source is drawn from in a process of its own: its digest is computed and
1,500 inputs are drawn, as the data stage does. The peer, at a tenth of the rows, is pandas, which
reads them all, drops repeats and takes a sample; it has neither places nor regions to keep apart.
Limit: the memory that our process needs does not grow with the rows: a tenth of them takes no less
than 9/10 of it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from daftt_core.config import DataConfig
from daftt_core.data import gather
from daftt_core.tasks import load_task

_SHARD_ROWS, _COUNT, _SEED = 100_000, 1500, 13
_REPEATED = 0.02
_WORDS = [f"{a}{b}{c}" for a in "bdklmnprst" for b in "aeiou" for c in ("n", "r", "st", "ll")]


def main() -> None:
    """Measure and print a line for each format and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=["jsonl", "parquet"])
    asked = parser.parse_args()
    most = asked.rows
    print("format   rows         way     us/row (CPU)  peak MiB")
    for suffix in asked.formats:
        ours = {}
        for rows in (most // 10, most):
            with tempfile.TemporaryDirectory() as folder:
                _in_a_process(_generate, folder, suffix, rows)
                seconds, ours[rows] = _measured(_draw, folder)
                _show(suffix, rows, "daftt", seconds, ours[rows])
                if rows < most:
                    _show(suffix, rows, "pandas", *_measured(_read_all, folder))
        if ours[most // 10] < 0.9 * ours[most]:
            raise SystemExit(f"{suffix}: memory grows with the rows")


def _show(suffix: str, rows: int, way: str, seconds: float, mib: float) -> None:
    print(f"{suffix:7}  {rows:<11,}  {way:6}  {seconds / rows * 1e6:12.1f}  {mib:8.0f}", flush=True)


def _in_a_process(work: Callable[..., object], *args: object) -> object:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)


def _measured(work: Callable[[str], None], folder: str) -> tuple[float, float]:
    found = _in_a_process(_measure, work, folder)
    assert isinstance(found, tuple)
    return found


def _measure(work: Callable[[str], None], folder: str) -> tuple[float, float]:
    started = time.process_time()
    work(folder)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return time.process_time() - started, peak_kib / 1024


def _draw(folder: str) -> None:
    task = load_task("movie-reviews")
    with gather(task, DataConfig(unlabelled=folder)) as gathered:
        drawn = gathered.sample_inputs(_COUNT, _SEED, {})["unlabelled"]
        assert len(drawn.rows) == _COUNT
        assert gathered.digests["unlabelled"]


def _read_all(folder: str) -> None:
    import pandas as pd

    paths = sorted(Path(folder).iterdir())
    read = pd.read_parquet if paths[0].suffix == ".parquet" else _read_lines
    rows = pd.concat([read(path) for path in paths])
    assert len(rows.drop_duplicates().sample(_COUNT, random_state=_SEED)) == _COUNT


def _read_lines(path: Path) -> object:
    import pandas as pd

    return pd.read_json(path, lines=True)


def _generate(folder: str, suffix: str, rows: int) -> None:
    for shard, start in enumerate(range(0, rows, _SHARD_ROWS)):
        texts = list(_texts(shard, min(_SHARD_ROWS, rows - start)))
        path = Path(folder) / f"{shard:05}.{suffix}"
        if suffix == "parquet":
            parquet.write_table(pa.table({"text": texts}), path, row_group_size=20_000)
        else:
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def _texts(shard: int, count: int) -> Iterator[str]:
    draw = random.Random(shard)
    before = "first"
    for _ in range(count):
        if draw.random() >= _REPEATED:
            before = " ".join(draw.choices(_WORDS, k=draw.randint(8, 24)))
        yield before


if __name__ == "__main__":
    main()
