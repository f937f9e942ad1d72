"""What must start quickly and on machines without torch: the pipeline and the lower floors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HEAVY = {"torch", "transformers", "deepspeed", "accelerate"}

_LIGHT = [
    "components",
    "pipelines.daftt",
    "pipelines.sweep",
    "daftt_core.storage.assets",
    "daftt_core.cli",
    "daftt_core.accounting",
    "daftt_core.planning",
    "daftt_core.curation",
    "daftt_core.data",
    "daftt_core.telemetry",
    "daftt_core.evaluation",
    "daftt_core.records.fingerprints",
    "daftt_core.jobs",
    "daftt_core.preflight",
    "daftt_core.registry",
    "daftt_core.reporting",
    "daftt_core.sweep",
    "daftt_core.tasks",
    "daftt_core.workspace",
]


def _heavy_modules_after(script: str, *words: str) -> str:
    tail = f"\nimport sys; print('heavy:', sorted({_HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script + tail, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("module", _LIGHT)
def test_importing_it_does_not_import_torch(module: str) -> None:
    assert _heavy_modules_after(f"import {module}") == "heavy: []"


def test_the_measure_itself_works() -> None:
    assert _heavy_modules_after("import torch") != "heavy: []"


def test_compiling_does_not_import_torch(tmp_path: Path) -> None:
    script = "import sys; from daftt_core.cli import main; assert main(sys.argv[1:]) == 0"
    assert _heavy_modules_after(script, "compile", str(tmp_path)) == "heavy: []"
    assert {path.name for path in tmp_path.iterdir()} == {"daftt.yaml", "sweep.yaml"}
