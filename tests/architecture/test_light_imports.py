"""What must start quickly, or on machines without torch: commands, the pipeline, lower floors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daftt_core.cli.commands import GROUPS
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, run_stage

_HEAVY = {"torch", "transformers", "deepspeed", "accelerate"}

_TO_LIST_COMMANDS = {"click", "daftt_core"}
_NOT_TO_LIST_RUNS = {
    "daftt_core.config",  # reads the text of each setting's description
    "daftt_core.planning",
    "daftt_core.records.words",  # reads Unicode's whole table
    "botocore",
    "daftt_core.storage.gcs",
    "daftt_core.storage.s3",
    "filelock",
    "jinja2",
    "kfp",
    "kfp_server_api",
    "kubernetes",
    "matplotlib",
    "numpy",
    "requests",
    "rich.progress",
    "urllib3",
}

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


def _modules_after(*words: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    script = (
        "import sys; from daftt_core.cli import main; assert main(sys.argv[1:]) == 0; "
        "print(); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", [(), ("--help",), ("--version",)])
def test_listing_the_commands_imports_none_of_them(words: tuple[str, ...]) -> None:
    modules = _modules_after(*words)
    foreign = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)
    installed = {name for name in foreign if name not in ("__main__", "sitecustomize")}
    assert {name for name in installed if not name.startswith("_")} == _TO_LIST_COMMANDS
    ours = {name for name in modules if name.startswith("daftt_core.")}
    assert ours == {
        "daftt_core.cli",
        "daftt_core.cli.app",
        "daftt_core.cli.commands",
        "daftt_core.cli.printing",
        "daftt_core.errors",
    }


def test_listing_runs_imports_only_what_reads_them(tmp_path: Path) -> None:
    run = Run(uri=str(tmp_path / "mine"), seed=1, task=load_task("movie-reviews"))
    run_stage(run, "report", [], lambda folder: {"headline": "no gain was shown"})
    modules = _modules_after("runs", str(tmp_path))
    assert "daftt_core.workspace.status" in modules
    assert modules & _NOT_TO_LIST_RUNS == set()
    commands = {
        f"daftt_core.cli.{each.module}" for group in GROUPS.values() for each in group.values()
    }
    assert modules & commands == {"daftt_core.cli.runs.runs"}
