"""How long a run's stages take to begin, as copies of one process and as kfp.local starts them.

    python benchmarks/stage_start.py --stages 12 --rounds 3

Each stage loads what one that trains students, one that asks the teacher and one that evaluates
load, in turn, and ends. One way starts the process that DAFTT starts with a run, has it run all of
them, and ends it; the other has kfp.local start a Python process for each. Both take one stage
after the other; time to load the libraries once is part of the first way.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import tempfile
from collections.abc import Callable

from kfp.local import subprocess_task_handler
from rounds import take_turns

from daftt_core.cli.local.warm import WarmProcess

_LOADED = ("daftt_core.student", "daftt_core.synthesis", "daftt_core.evaluation")
_SCRIPT = """
program_path=$(mktemp -d)
printf "%s" "$0" > "$program_path/ephemeral_component.py"
_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main \
  --component_module_path "$program_path/ephemeral_component.py" "$@"
"""


def main() -> None:
    """Time both ways, and print a line for each round and the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stages", type=int, default=12, help="stages of a run")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is timed")
    given = parser.parse_args()
    commands = [_command(_LOADED[number % len(_LOADED)]) for number in range(given.stages)]
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["TMPDIR"] = temporary
        take_turns(
            {
                "daftt": functools.partial(_as_copies, commands),
                "plain": functools.partial(
                    _run_all, subprocess_task_handler.run_local_subprocess, commands
                ),
            },
            given.rounds,
        )


def _command(module: str) -> list[str]:
    executor_input = json.dumps({"inputs": {}, "outputs": {"outputFile": os.devnull}})
    arguments = ["--executor_input", executor_input, "--function_to_execute", "stage"]
    return ["sh", "-ec", _SCRIPT, f"def stage():\n    import {module}\n", *arguments]


def _as_copies(commands: list[list[str]]) -> None:
    with WarmProcess() as process:
        _run_all(process.run, commands)


def _run_all(run: Callable[[list[str]], int], commands: list[list[str]]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        codes = [run(command) for command in commands]
    if any(codes):
        raise RuntimeError(f"a stage ended with an error: {codes}")


if __name__ == "__main__":
    main()
