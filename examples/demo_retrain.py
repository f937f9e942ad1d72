"""A quarter of weekly runs on data that arrive in parts: `make demo-retrain`.

Each week new files come, or none, and the same command runs. Most weeks it ends at once and says
why; it trains when there is reason to, promotes what is proven better, refuses what is not, and at
the end the champion is taken back with one command.

The files hold the demo's sentences from movie reviews. Settings are small, so that a quarter takes
less time than two runs of the demo; the figures are not those of the demo.
Dev and test are files of their own here, so that the quarter is decided on many test examples.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from daftt_core.data.sources import own_source
from daftt_core.errors import DafttError
from daftt_core.records import Example
from daftt_core.tasks import Task, load_task
from daftt_core.telemetry import duration

SETTINGS = {
    "task": "movie-reviews",
    "seed": 13,
    "on_gate_fail": "continue",
    "data_labelled_count": 1000,
    "data_dev_count": 150,
    "data_test_count": 1000,
    "trigger_when": "drift",
    "trigger_min_new_labels": 50,
    "trigger_min_new_share": 0.1,
    "teacher_directions": "label",
    "teacher_epochs": 4,
    "teacher_batch_size": 8,
    "synthesis_mode": "annotate",
    "student_seeds": 1,
    "student_gold_arm": False,
    "promotion_slice_drop": 25,  # students of one seed differ much from class to class
}
_LONG = 140  # letters


@dataclass(frozen=True)
class Week:
    """What arrives before a week's run, and what is expected of the run.

    Attributes:
        news: What happens, in words.
        ends: How the run must end: ``quiet``, ``promoted``, ``refused``, or ``trained`` where
            either will do.
        labelled: Labelled rows that arrive.
        pool: Inputs without a label that arrive.
        odd: Whether these come from elsewhere.
        wrong: Whether the labels are the wrong ones.
        withdrawn: Number of the week whose labelled rows are taken away.
        rollback: Why the champion is taken back before the run; empty: it is not.
    """

    news: str
    ends: str
    labelled: int = 0
    pool: int = 0
    odd: bool = False
    wrong: bool = False
    withdrawn: int = 0
    rollback: str = ""


QUARTER = (
    Week("the first labels and a pool of inputs", "promoted", labelled=64, pool=250),
    Week("a few more inputs", "quiet", pool=40),
    Week("a few labels", "quiet", labelled=20),
    Week("nothing", "quiet"),
    Week("many labels, and more inputs", "promoted", labelled=100, pool=300),
    Week("nothing", "quiet"),
    Week("a few more inputs", "quiet", pool=40),
    Week("inputs from a new place, where people write more", "trained", pool=120, odd=True),
    Week("nothing: what was refused is not tried again", "quiet"),
    Week("labels that somebody has mixed up", "refused", labelled=60, wrong=True),
    Week("they are withdrawn", "quiet", withdrawn=10),
    Week("a few labels", "quiet", labelled=20),
    Week("the champion is taken back", "quiet", rollback="wrong on short sentences"),
)


class SurpriseError(Exception):
    """A week did not end as it must."""


class Arrivals:
    """Deals out examples as files, each example once.

    Args:
        folder: Where the files go.
        task: Their task.
        rows: Labelled examples.
        is_odd: Whether an example is from elsewhere.
        dev: Dev examples, which are there from the start.
        test: Test examples, likewise.
    """

    def __init__(
        self,
        folder: Path,
        task: Task,
        rows: Sequence[Example],
        is_odd: Callable[[Example], bool],
        *,
        dev: int,
        test: int,
    ) -> None:
        self._folder, self._task = folder, task
        ordered = sorted(rows, key=lambda one: one.id)  # ids are hashes: as good as any shuffle
        self._odd = iter([one for one in ordered if is_odd(one)])
        self._usual = iter([one for one in ordered if not is_odd(one)])
        folder.mkdir(parents=True, exist_ok=True)
        for name, count in (("dev", dev), ("test", test)):
            self._write(folder / f"{name}.csv", [next(self._usual) for _ in range(count)])

    def deliver(self, number: int, week: Week) -> None:
        """Make, or take away, the files of a week."""
        if week.labelled:
            labelled = [next(self._usual) for _ in range(week.labelled)]
            self._write(self._labels(number), labelled, wrong=week.wrong)
        if week.pool:
            source = self._odd if week.odd else self._usual
            inputs = [next(source) for _ in range(week.pool)]
            self._write(self._folder / f"pool-{number:02d}.csv", inputs)
        if week.withdrawn:
            self._labels(week.withdrawn).unlink()

    def _labels(self, number: int) -> Path:
        return self._folder / f"labels-{number:02d}.csv"

    def _write(self, path: Path, examples: Sequence[Example], *, wrong: bool = False) -> None:
        columns, names = self._task.columns, self._task.label_names
        turned = dict(zip(names, (*names[1:], names[0]), strict=True))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([columns.text, columns.output])
            for one in examples:
                label = one.output or ""
                writer.writerow([one.text, turned[label] if wrong else label])


def run_quarter(
    folder: Path,
    settings: dict[str, Any],
    rows: Sequence[Example],
    is_odd: Callable[[Example], bool],
    weeks: Sequence[Week] = QUARTER,
) -> None:
    """Run week after week, and say what became of each.

    Args:
        folder: For the data and the runs; must not hold an earlier quarter.
        settings: Flat settings, without the places of data and runs.
        rows: Labelled examples, enough for all weeks.
        is_odd: Whether an example is from elsewhere.
        weeks: What happens.

    Raises:
        SurpriseError: A week did not end as it must.
    """
    data, runs = folder / "data", folder / "runs"
    task = load_task(str(settings["task"]))
    arrivals = Arrivals(
        *(data, task, rows, is_odd),
        dev=int(settings["data_dev_count"]),
        test=int(settings["data_test_count"]),
    )
    path = folder / "settings.yaml"
    places = {
        "output": str(runs),
        "data_train": str(data / "labels-*.csv"),
        "data_unlabelled": str(data / "pool-*.csv"),
        "data_dev": str(data / "dev.csv"),
        "data_test": str(data / "test.csv"),
    }
    path.write_text(yaml.safe_dump(settings | places), encoding="utf-8")
    started = time.monotonic()
    for number, week in enumerate(weeks, start=1):
        _say(f"\nWeek {number}: {week.news}.")
        arrivals.deliver(number, week)
        if week.rollback:
            words = ("registry", "rollback", task.id, "--why", week.rollback)
            _say(_daftt(*words, "--output", str(runs)).strip())
        _one_week(number, week, path)
    _say(f"\nThe quarter took {duration(time.monotonic() - started)}. Its history:\n")
    _say(_daftt("registry", "show", task.id, "--output", str(runs)))
    _say(_daftt("runs", str(runs)))


def _one_week(number: int, week: Week, settings: Path) -> None:
    started = time.monotonic()
    said = _daftt("run", "--settings", str(settings), "--name", f"week-{number:02d}", "--json")
    result = json.loads(said)
    trigger, promotion = result["trigger"], result["promotion"]
    ended = "quiet"
    _say(trigger["reason"])
    if trigger["train"]:
        _say(result["evaluation"]["headline"])
        _say(promotion["reason"])
        ended = "promoted" if promotion["promoted"] else "refused"
    _say(f"({duration(time.monotonic() - started)})")
    if ended != week.ends and not (week.ends == "trained" and ended != "quiet"):
        raise SurpriseError(f"week {number} was to end {week.ends}, and it ended {ended}")


def _daftt(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own module, no shell
        [sys.executable, "-m", "daftt_core.cli", *words],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SurpriseError(f"daftt {words[0]} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the demo's quarter; 1 where a week does not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/retrain"), help="a new folder")
    folder = parser.parse_args().output
    try:
        if folder.exists():
            raise SurpriseError(f"{folder}: is there already; remove it, or name another --output")
        rows = [row.example for row in own_source(load_task("movie-reviews")).rows]
        run_quarter(folder, SETTINGS, rows, lambda one: len(one.text) > _LONG)
    except (SurpriseError, DafttError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
