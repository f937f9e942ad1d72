"""How much processor time a command takes to start.

    python benchmarks/start_up.py --rounds 15

Each command is a process of its own, as typed; user and system time come from the kernel, and the
median of the rounds counts, as another program on the machine may disturb any of them. Commands and
their yardsticks take turns. The limit is 0.2 s for each of ``daftt``, ``daftt --help`` and ``daftt
runs`` over a folder of ten runs that have finished. The yardstick of a command is an interpreter
that imports nothing but the libraries which the command cannot do without: click, and for ``runs``
also pydantic, which checks what is read, and rich, which draws the table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from daftt_core.tasks import load_task
from daftt_core.workspace import Run, run_stage

_LIMIT_SECONDS = 0.2
_RUNS = 10
_STAGES = ("preflight", "data", "teacher", "report")
_CLICK = "import click"
_LIBRARIES = "import click, rich.table, pydantic\nclass M(pydantic.BaseModel):\n  a: int\nM(a=1)"


def main() -> None:
    """Measure each command and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        _make_runs(Path(folder))
        daftt = ["-m", "daftt_core.cli"]
        compared = {
            "daftt": ([*daftt], ["-c", _CLICK]),
            "daftt --help": ([*daftt, "--help"], ["-c", _CLICK]),
            "daftt runs": ([*daftt, "runs", folder], ["-c", _LIBRARIES]),
        }
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in compared}
        for each in range(rounds + 1):
            for name, (command, yardstick) in compared.items():
                pair = _cpu_seconds(command), _cpu_seconds(yardstick)
                if each:  # the first round fills the machine's caches
                    seconds[name].append(pair)
    for name, pairs in seconds.items():
        took = statistics.median(pair[0] for pair in pairs)
        ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
        verdict = "kept" if took <= _LIMIT_SECONDS else "missed"
        print(
            f"{name}: {took:.3f} s of processor time, {ratio:.2f} times its libraries alone; "
            f"limit {_LIMIT_SECONDS} s {verdict}"
        )


def _make_runs(folder: Path) -> None:
    task = load_task("movie-reviews")
    for number in range(_RUNS):
        run = Run(uri=str(folder / f"run-{number}"), seed=number, task=task)
        for stage in _STAGES:
            run_stage(run, stage, [], lambda _: {"headline": "no gain was shown"})


def _cpu_seconds(words: list[str]) -> float:
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
