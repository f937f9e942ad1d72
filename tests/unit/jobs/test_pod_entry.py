"""What a pod of a job does when it is told to end before its program has begun its work."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ENTRY = [sys.executable, "-m", "daftt_core.jobs.entry"]


def test_it_runs_a_module_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text("import sys\nprint(__name__, sys.argv[1:])\nsys.exit(7)\n")
    done = subprocess.run(
        [*ENTRY, "-m", "shown", "-m", "two"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (7, "__main__ ['-m', 'two']\n")


def test_it_ends_at_once_and_says_so_while_the_module_has_no_handler(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text("import time\nprint('waits', flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen([*ENTRY, "-m", "waits"], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waits\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143


def test_a_module_may_take_the_signal_over(tmp_path: Path) -> None:
    (tmp_path / "saves.py").write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('saves', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([*ENTRY, "-m", "saves"], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 5
