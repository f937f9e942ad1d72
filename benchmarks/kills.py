"""Whole tiny runs, killed over and over at random moments, against one that was left alone.

    nice -n 15 python benchmarks/kills.py 10
    nice -n 15 python benchmarks/kills.py 1 --kills 4 --seed 7 --folder /tmp/kills

Each run is the real command line, ``daftt run``, on a toy task with tiny models, all of its stages
included. It is killed ``--kills`` times (fewer where it ends before), the same command resumes it
each time, and at last it runs to its end. A kill comes a random while after a random number of
further pieces of work are committed, so that all stages have their share. Its signal is SIGKILL,
SIGTERM or SIGINT (Ctrl-C), and it goes to

    command     the process of ``daftt run`` alone: kill, and Kubernetes to a pod's first process
    group       the process group of ``daftt run``: a shell, on Ctrl-C or when it ends a job
    family      the command and all processes below it, at once: a node that goes away, the kernel
                out of memory, Kubernetes once the time of grace is over

A stage that still loads its libraries is not at work yet: such kills count as between stages.
After each kill nothing may be left running. At the end the digest of every manifest of the run
(the key of what it was made from, and the SHA-256 of every file) and its summary must be those of
the undisturbed run, for every stage and every student; so must a second undisturbed run's, which
shows that there is something to hold on to. Left out is what differs by nature: the stage
``report``, whose page and card have the times and costs of the run, and in all manifests the times,
the memory and what was used.

All runs have the same name, settings and models; they take place in the same folder, with a
registry of their own, and are moved away when they have ended. The exit code is 0 if all are equal
and nothing was left running.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from toy_run import toy_config

from daftt_core.config import to_flat
from daftt_core.storage import read_manifest
from daftt_core.workspace import read_statuses

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TARGETS = ("command", "group", "family")
BY_NATURE = ("report",)
SETTINGS = {
    "name": "tiny",
    "teacher_epochs": 6,
    "teacher_checkpoint_steps": 4,
    "teacher_precision": "float32",
    "student_min_steps": 20,
    "data_test_count": 40,
    "data_unlabelled_count": 32,
    "synthesis_generate_count": 16,
    "mixture_tasks": 0,
    "student_gold_arm": False,
}
Piece = tuple[str, str]
"""The digest of a finished stage or student, and its summary."""

_MOST_PIECES = 5  # that are waited for before a kill; a run has 25 or so
_GONE_SECONDS = 180  # a little more than `daftt run` itself waits for a teacher's checkpoint
_TABLE = "{:<34}{:>8}{:>8}{:>8}{:>8}"


@dataclass(frozen=True)
class Kill:
    """A signal that was sent: which one, to what, in which stages' work, and what outlived it."""

    number: signal.Signals
    target: str
    stages: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a killed run; ``differs`` is the first piece that is not as expected."""

    kills: list[Kill]
    differs: str


class Bench:
    """The runs' common task, models and settings, and how long one takes.

    Args:
        folder: Where they go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._at_work = folder / "at work"
        config = toy_config(folder / "common", output=str(self._at_work / "runs"), **SETTINGS)
        (folder / "settings.json").write_text(json.dumps(to_flat(config)))  # JSON is YAML
        shutil.rmtree(self._at_work, ignore_errors=True)  # of a benchmark that was broken off

    @property
    def place(self) -> Path:
        """The folder of the stages of the run that is at work."""
        return self._at_work / "runs" / str(SETTINGS["name"])

    def start(self) -> subprocess.Popen[bytes]:
        """Start a run's command, or resume it, as a shell starts a job: in a group of its own."""
        self._at_work.mkdir(exist_ok=True)
        with (self._at_work / "said.txt").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "daftt_core.cli", "run", "--settings", "../settings.json"],
                cwd=self._at_work,
                stdout=said,
                stderr=said,
                process_group=0,
                # what a shell starts behind `&` ignores Ctrl-C, and so would all below it
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    def finish(self, name: str) -> tuple[float, dict[str, Piece]]:
        """Let a run go on to its end and move it away; seconds, and what it made."""
        started = time.monotonic()
        code = self.start().wait()
        if code != 0:
            raise RuntimeError(f"{name} ended with {code}; see {self._at_work}/said.txt")
        seconds, made = time.monotonic() - started, content(self.place)
        shutil.rmtree(self._folder / name, ignore_errors=True)
        self._at_work.rename(self._folder / name)
        return seconds, made

    def kill_over_and_over(
        self, count: int, pause: float, chance: random.Random, say: Callable[[str], None]
    ) -> list[Kill]:
        """Kill a run and resume it, until it ended or was killed often enough.

        Args:
            count: Kills at most.
            pause: Seconds that a piece of work takes, on average.
            chance: Decides on moments, signals and targets.
            say: Is told of each kill.
        """
        kills: list[Kill] = []
        while len(kills) < count:
            started, process = time.time(), self.start()
            if not self._wait(process, chance.randint(0, _MOST_PIECES), pause, chance):
                break
            stages = tuple(
                status.stage
                for status in read_statuses(self.place)
                if status.state == "running" and status.updated > started
            )
            number, target = chance.choice(SIGNALS), chance.choice(TARGETS)
            kills.append(Kill(number, target, stages, send(process, number, target)))
            say(
                f"  kill {len(kills)}: {number.name} to the {target}, in "
                f"{', '.join(stages) or 'between stages'}"
            )
        return kills

    def _wait(
        self,
        process: subprocess.Popen[bytes],
        pieces: int,
        pause: float,
        chance: random.Random,
    ) -> bool:
        """Wait for a random moment of an attempt; whether it came before the run's end."""
        wanted = len(committed(self.place)) + pieces
        while process.poll() is None and len(committed(self.place)) < wanted:
            time.sleep(0.05)
        moment = time.monotonic() + chance.uniform(0, 3 * pause)
        while process.poll() is None and time.monotonic() < moment:
            time.sleep(0.05)
        return process.poll() is None


def send(process: subprocess.Popen[bytes], number: signal.Signals, target: str) -> tuple[str, ...]:
    """Send a signal and wait until all is gone; the command lines of what is not."""
    family = relatives(process)
    if target == "group":
        os.killpg(process.pid, number)
    else:
        for one in family if target == "family" else family[:1]:
            try:
                one.send_signal(number)
            except psutil.NoSuchProcess:
                continue
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=_GONE_SECONDS)
    left = tuple(" ".join(command_line(one)) for one in alive)
    for one in alive:
        one.kill()
    return left


def relatives(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process and all below it."""
    try:
        own = psutil.Process(process.pid)
        return [own, *own.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def command_line(process: psutil.Process) -> list[str]:
    """The words that a process was started with."""
    try:
        return list(process.cmdline()[:5])
    except psutil.Error:
        return [str(process.pid)]


def committed(place: Path) -> list[Path]:
    """The folders of a run that are finished: stages and students."""
    return [
        path.parent
        for path in sorted(place.rglob("manifest.json"))
        if not any(part.startswith(".") for part in path.relative_to(place).parts)
    ]


def content(place: Path) -> dict[str, Piece]:
    """What a run committed, by name, in the order in which it was committed."""
    found = []
    for folder in committed(place):
        name, manifest = folder.relative_to(place).as_posix(), read_manifest(folder)
        if manifest is not None and name not in BY_NATURE:
            summary = json.dumps(manifest.summary, sort_keys=True)
            written = (folder / "manifest.json").stat().st_mtime
            found.append((written, name, (manifest.digest, summary)))
    return {name: piece for _, name, piece in sorted(found)}


def first_difference(made: dict[str, Piece], expected: dict[str, Piece]) -> str:
    """The first piece that is not as expected; empty where all are."""
    for name in (*expected, *made):
        if made.get(name) != expected.get(name):
            return name
    return ""


def table(outcomes: list[Outcome]) -> str:
    """Kills by signal, and within it by target and by stage."""
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    names = [number.name for number in SIGNALS]
    lines = [_TABLE.format("kills", *names, "all")]

    def row(label: str, chosen: list[Kill]) -> None:
        counts = Counter(kill.number.name for kill in chosen)
        lines.append(_TABLE.format(label, *(counts[name] for name in names), len(chosen)))

    row("all", kills)
    for target in TARGETS:
        row(f"to the {target}", [kill for kill in kills if kill.target == target])
    stages = sorted({stage for kill in kills for stage in kill.stages})
    for stage in stages:
        row(f"in {stage}", [kill for kill in kills if stage in kill.stages])
    row("between stages", [kill for kill in kills if not kill.stages])
    lines.append("(two stages at work at the same time count once each)")
    return "\n".join(lines)


def main() -> int:
    """Run, kill, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=int, help="runs to kill")
    parser.add_argument("--kills", type=int, default=10, help="kills of a run, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the runs go, and stay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return bench(folder, given.runs, given.kills, given.seed)


def bench(folder: Path, runs: int, kills: int, seed: int) -> int:
    """The benchmark; 0 if all runs are equal and no process was left."""

    def say(text: str) -> None:
        print(text, flush=True)

    tiny = Bench(folder)
    seconds, expected = tiny.finish("undisturbed")
    say(f"undisturbed: {seconds:.0f} s, {len(expected)} pieces")
    control = first_difference(tiny.finish("undisturbed again")[1], expected)
    say(f"undisturbed again: {f'DIFFERS, first in {control}' if control else 'equal'}")
    pause = seconds / len(expected)
    outcomes = []
    for number in range(runs):
        chance = random.Random(f"{seed} {number}")
        sent = tiny.kill_over_and_over(kills, pause, chance, say)
        _, made = tiny.finish(f"killed {seed}-{number}")
        outcome = Outcome(sent, first_difference(made, expected))
        outcomes.append(outcome)
        how = f"DIFFERS, first in {outcome.differs}" if outcome.differs else "equal"
        total = sum(len(one.kills) for one in outcomes)
        say(f"run {number + 1} of {runs}: {len(sent)} kills, {how} ({total} kills so far)")
    left = [line for one in outcomes for kill in one.kills for line in kill.left]
    different = [one.differs for one in outcomes if one.differs]
    say(f"\n{table(outcomes)}\n")
    say(f"runs that are equal to the undisturbed one: {runs - len(different)} of {runs}")
    for stage, count in Counter(different).most_common():
        say(f"    first different in {stage}: {count}")
    say(f"processes left running by a kill: {len(left)}")
    for line in left:
        say(f"    {line}")
    return 1 if control or different or left else 0


if __name__ == "__main__":
    sys.exit(main())
