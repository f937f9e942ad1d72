"""The process that runs the compiled pipeline on this machine with kfp.local.

It is a process of its own, and not a part of the command that waits for it, for three reasons:
kfp.local prints from threads and leaves ``print`` patched, it waits for its threads when it is
interrupted, and the whole family of processes can be ended at once through its session.

    python -m daftt_core.cli.local.pipeline <run folder> <compiled pipeline>

The settings come as one line of JSON on stdin. When stdin closes, the command that started it is
gone, and it ends itself and its stages. SIGTERM reaches all of them: it waits for running stages,
passes on their output, and starts no other.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import tempfile
import threading
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from daftt_core.cli.local.marks import marked_as_running
from daftt_core.cli.local.warm import WarmProcess, is_worthwhile

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STDIN = 0


def main() -> int:
    """Run the pipeline; the settings come on stdin.

    Returns:
        0, or 1 when a stage failed.
    """
    folder, compiled = map(Path, sys.argv[1:])
    settings = json.loads(_read_line())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr = _WithoutColours(sys.stdout.buffer, "utf-8", line_buffering=True)
    warm = WarmProcess() if is_worthwhile() else nullcontext()
    with warm, marked_as_running(folder):
        if isinstance(warm, WarmProcess):
            _start_stages_from(warm)
        return _run(Path(tempfile.gettempdir()), compiled, settings)


def _run(temporary: Path, compiled: Path, settings: dict[str, Any]) -> int:
    from kfp import components, local

    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        # not in the run's folder: in its path, which a user chooses, kfp would replace patterns
        pipeline_root=str(temporary / "kfp"),
        workspace_root=str(temporary / "workspace"),
    )
    signal.signal(signal.SIGTERM, _start_no_other)
    pipeline = components.load_component_from_file(str(compiled))
    graph = pipeline.component_spec.implementation.graph  # pipeline.pipeline_spec is a copy
    _do_not_repeat(graph)
    _one_run_at_a_time(graph)
    try:
        pipeline(**settings)
    except RuntimeError as error:  # what kfp.local raises for a failed stage; it is logged above
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


def _start_stages_from(warm: WarmProcess) -> None:
    from kfp.local import subprocess_task_handler

    cold = subprocess_task_handler.run_local_subprocess

    def run(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        try:
            return warm.run(full_command, env_vars)
        except OSError:  # it is gone
            return int(cold(full_command, env_vars))

    subprocess_task_handler.run_local_subprocess = run


def _start_no_other(_number: int, _frame: FrameType | None) -> None:
    """Fail every stage that would start from now on, also the last one, which reports the end."""
    from kfp.local import subprocess_task_handler

    subprocess_task_handler.run_local_subprocess = lambda **_: 128 + signal.SIGTERM


def _do_not_repeat(spec: Any) -> None:
    """Let a failed stage fail at once: here a person is watching, and nodes do not vanish."""
    for component in (spec.root, *spec.components.values()):
        for task in component.dag.tasks.values():
            task.ClearField("retry_policy")


def _one_run_at_a_time(spec: Any) -> None:
    """Let a loop over whole pipelines take one after another: each has loops of its own."""
    dags = {name for name, component in spec.components.items() if component.HasField("dag")}
    for component in (spec.root, *spec.components.values()):
        for task in component.dag.tasks.values():
            body = spec.components[task.component_ref.name].dag.tasks.values()
            if task.HasField("parameter_iterator") and any(
                step.component_ref.name in dags for step in body
            ):
                task.iterator_policy.parallelism_limit = 1


class _WithoutColours(io.TextIOWrapper):
    """A text stream that leaves out the colour codes kfp writes even into files."""

    def write(self, text: str) -> int:
        super().write(_COLOUR.sub("", text))
        return len(text)


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(_STDIN, 65536)):
        line += byte
    return line


def _end_with_parent() -> None:
    while os.read(_STDIN, 1024):
        continue
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
