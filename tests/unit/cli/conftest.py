"""Small compiled pipelines whose stages are real stages of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daftt_core.tasks import load_task
from daftt_core.workspace import Run

_PIPELINE = """
import sys
from kfp import compiler, dsl

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def work(run: str, name: str, how: str):
    import os, time
    from daftt_core.errors import TrainingError
    from daftt_core.telemetry.progress import Progress
    from daftt_core.workspace import Run, run_stage

    def do(folder):
        progress = Progress("write", 4, "lines")
        for number in range(4):
            if how == "slow":
                time.sleep(30)
            if how == "diverge" and number == 2:
                raise TrainingError("the loss became NaN at step 2")
            if how == "crash" and number == 2:
                os.abort()
            (folder / f"{number}.txt").write_text(str(number))
            progress.advance()
        return {}

    print(f"\\033[91mworking on {name}\\033[0m")
    run_stage(Run.model_validate_json(run), name, [how], do)

@dsl.pipeline(name="small")
def small(run: str, how: str = "well"):
    first = work(run=run, name="first", how="well").set_caching_options(False)
    second = work(run=run, name="second", how=how).after(first).set_caching_options(False)
    second.set_retry(2, "1s")

compiler.Compiler().compile(small, sys.argv[1])
"""


@pytest.fixture(scope="session")
def small_pipeline(tmp_path_factory) -> Path:
    """A pipeline of two stages; its parameter ``how`` decides what becomes of the second."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.py").write_text(_PIPELINE)
    subprocess.run(
        [sys.executable, str(folder / "small.py"), str(folder / "small.yaml")], check=True
    )
    return folder / "small.yaml"


@pytest.fixture
def small_run(tmp_path) -> Run:
    """A run in a fresh folder."""
    return Run(uri=str(tmp_path / "run"), seed=1, task=load_task("movie-reviews"))
