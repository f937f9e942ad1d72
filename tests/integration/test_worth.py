"""The benchmark of draws: every draw is a run of its own, and the table covers them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toy_run import toy_config

from daftt_core.config import to_flat

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
_OWN = ("output", "name", "data_draw")
"""Settings that the benchmark sets for each run."""


def worth(folder: Path) -> tuple[str, dict[str, Any]]:
    """Run two draws of a toy task with tiny models in place of a task's own data."""
    config = toy_config(folder, student_seeds=1, student_epochs=1, student_min_steps=10)
    own = {name: value for name, value in to_flat(config).items() if name not in _OWN}
    (folder / "settings.json").write_text(json.dumps({**own, "synthesis_mode": "annotate"}))
    words = ["--tasks", "movie-reviews", "--draws", "2", "--output", str(folder / "worth")]
    files = ["--settings", str(folder / "settings.json"), "--json", str(folder / "worth.json")]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "worth.py"), *words, *files],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout, json.loads((folder / "worth.json").read_text())


def labelled(run: Path) -> set[str]:
    lines = (run / "data" / "labelled.jsonl").read_text().splitlines()
    return {json.loads(line)["id"] for line in lines}


def test_draws_have_other_labels_and_the_same_test_examples_and_are_run_once(
    tmp_path: Path,
) -> None:
    printed, found = worth(tmp_path)
    runs = [tmp_path / "worth" / f"movie-reviews-draw-{draw}" for draw in range(2)]
    assert labelled(runs[0]) != labelled(runs[1])
    assert (runs[0] / "test/test.jsonl").read_text() == (runs[1] / "test/test.jsonl").read_text()
    evaluations = [json.loads((run / "evaluation/evaluation.json").read_text()) for run in runs]
    (row,) = found["tasks"]
    real = [evaluation["arms"][0]["mean"] for evaluation in evaluations]
    assert row["baseline"] == pytest.approx(100 * sum(real) / 2)
    assert row["draws"] == sum(row["gate"].values()) == sum(row["chosen_arms"].values()) == 2
    gain, low, high = row["gain"]
    assert gain == pytest.approx(row["chosen"] - row["baseline"])
    assert low <= gain <= high
    assert "| movie-reviews | " in printed
    again, same = worth(tmp_path)
    assert again.count("finished before") == 2
    assert same == found
