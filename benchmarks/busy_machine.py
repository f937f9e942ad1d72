"""How much longer a step of the teacher's training takes while another program is busy.

    python benchmarks/busy_machine.py
    python benchmarks/busy_machine.py --steps 4 --rounds 2 --busy 2

Each measurement is a process of its own that trains the teacher on one batch with one thread a
core. OpenMP's threads wait for each other as DAFTT lets them (asleep, ``OMP_WAIT_POLICY=PASSIVE``)
or as they do by default (in a loop at first). Both train with and without ``--busy`` processes that
count in an endless loop, in turn; the median of the steps counts.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

if os.environ.pop("DAFTT_WAIT_BY_DEFAULT", ""):
    importlib.import_module("torch")  # before daftt_core, which says how its threads wait

from daftt_core.config import Config

_LOOP = "while True: pass"
_WAYS = {"asleep": {}, "by default": {"DAFTT_WAIT_BY_DEFAULT": "1"}}
_TOKENS = 64  # of a row


def main() -> None:
    """Measure; prints a line for each process, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=Config().teacher.model, help="the teacher")
    parser.add_argument("--rows", type=int, default=8, help=f"rows of {_TOKENS} tokens in a batch")
    parser.add_argument("--steps", type=int, default=6, help="timed steps of each process")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--busy", type=int, default=1, help="other processes")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        sys.stdout.write(" ".join(map(str, _train(given.model, given.rows, given.steps))))
        return
    steps: dict[tuple[str, bool], list[float]] = {}
    for _ in range(given.rounds):
        for way, is_busy in itertools.product(_WAYS, (False, True)):
            with _busy(given.busy if is_busy else 0):
                took = _measure(_WAYS[way])
            steps.setdefault((way, is_busy), []).extend(took)
            with_others = f"{given.busy} busy" if is_busy else "no other"
            print(f"threads wait {way}, {with_others}: {statistics.median(took):.2f} s a step")
    medians = {case: statistics.median(took) for case, took in steps.items()}
    for way in _WAYS:
        ratio = medians[way, True] / medians[way, False]
        print(f"threads wait {way}: {ratio:.2f} times as long with others")
    ratio = medians["asleep", False] / medians["by default", False]
    print(f"asleep against by default, alone: {ratio:.2f} times as long")


@contextmanager
def _busy(count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", _LOOP])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def _measure(way: dict[str, str]) -> list[float]:
    """Return the seconds of each step of a process whose threads wait in a way."""
    environment = {name: each for name, each in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= way
    command = [sys.executable, *sys.argv, "--train"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [float(seconds) for seconds in done.stdout.split()]


def _train(name: str, rows: int, count: int) -> list[float]:
    import torch

    from daftt_core.modeling import limit_threads, load_causal_lm, set_seeds

    limit_threads()
    set_seeds(0)
    model, _ = load_causal_lm(name, device=torch.device("cpu"))
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-7, fused=True)
    ids = torch.randint(model.config.vocab_size, (rows, _TOKENS))
    seconds = []
    for _ in range(count + 1):
        started = time.perf_counter()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]  # the first allocates memory


if __name__ == "__main__":
    main()
