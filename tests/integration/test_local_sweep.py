"""A sweep of small runs: one table, nothing done twice, and no cell's failure costs another."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toy_run import toy_config

from daftt_core.config import from_flat, read_settings, to_flat

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SMALL = {
    "name": "toy",
    "student_gold_arm": False,
    "student_seeds": 1,
    "student_epochs": 1,
    "student_min_steps": 10,
    "teacher_epochs": 2,
    "data_slice_column": "tone",
}
LOST = "fraction-0.001-ratio-0-annotate"
FEW = "fraction-0.2-ratio-0.25-annotate"
ALL = "fraction-0.2-ratio-0-annotate"


def command(folder: Path) -> list[str]:
    path = folder / "settings.json"
    path.write_text(json.dumps(to_flat(toy_config(folder, **SMALL))))
    words = ["--fractions", "0.001,0.2", "--ratios", "0.25,0", "--modes", "annotate", "--json"]
    return [sys.executable, "-m", "daftt_core.cli", "sweep", "--settings", str(path), *words]


def sweep(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder), capture_output=True, text=True, check=False)


def sweep_until(folder: Path, stage: Path) -> None:
    """Begin the sweep and kill it, as a machine that goes down does, once a stage is there."""
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 600
    try:
        while not (stage / "manifest.json").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture(scope="module")
def teacher_of_the_killed(folder: Path) -> int:
    """When the teacher was made by the attempt that was killed after it."""
    teacher = folder / "runs" / "toy" / FEW / "teacher"
    sweep_until(folder, teacher)
    return (teacher / "manifest.json").stat().st_mtime_ns


@pytest.fixture(scope="module")
def swept(folder: Path, teacher_of_the_killed: int) -> subprocess.CompletedProcess[str]:
    return sweep(folder)


@pytest.fixture(scope="module")
def cells(swept: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {cell["cell"]: cell for cell in json.loads(swept.stdout)["cells"]}


def test_a_cell_that_fails_leaves_its_error_and_the_others_go_on(
    swept: subprocess.CompletedProcess[str], cells: dict[str, Any]
) -> None:
    assert [cell["status"] for cell in cells.values()] == ["failed", "failed", "done", "done"]
    assert cells[LOST]["message"].startswith("stage ")
    assert swept.returncode == cells[LOST]["exit_code"] == 3
    assert f"error: {LOST}: failed: {cells[LOST]['message']}" in swept.stderr
    assert "Traceback" not in swept.stderr


def test_a_sweep_that_was_killed_is_gone_on_with(
    folder: Path, cells: dict[str, Any], teacher_of_the_killed: int
) -> None:
    manifest = folder / "runs" / "toy" / FEW / "teacher" / "manifest.json"
    assert manifest.stat().st_mtime_ns == teacher_of_the_killed
    assert cells[FEW]["status"] == "done"


def test_dev_says_where_the_ratio_saturates_and_which_settings_to_take(
    folder: Path, swept: subprocess.CompletedProcess[str]
) -> None:
    table = json.loads(swept.stdout)
    (curve,) = table["curves"]
    assert [point["cell"] for point in curve["points"]] == [FEW, ALL]
    assert all(point["dev_interval"] and point["behind_interval"] for point in curve["points"])
    chosen = table["recommendation"]["cell"]
    path = folder / "runs" / "toy" / "recommended.yaml"
    assert path.exists() == (chosen is not None)
    if chosen:
        assert from_flat(read_settings(path)).curation.ratio == (0.25 if chosen == FEW else 0)


def test_slices_reach_the_evaluation_through_the_predictions(cells: dict[str, Any]) -> None:
    evaluation = cells[FEW]["evaluation"]
    assert evaluation["slice_column"] == "tone"
    sizes: dict[str, dict[str, int]] = {}
    for part in evaluation["slices"]:
        sizes.setdefault(part["by"], {})[part["name"]] = part["examples"]
    assert sizes["class"] == sizes["column"]
    assert sum(sizes["length"].values()) == evaluation["test_examples"]


def test_the_ratio_limits_what_students_learn_from(cells: dict[str, Any]) -> None:
    arms = {
        name: {arm["arm"]: arm["training_examples"] for arm in cells[name]["evaluation"]["arms"]}
        for name in (FEW, ALL)
    }
    few, everything = (arms[name]["real+annotated"] for name in (FEW, ALL))
    assert few["real"] == everything["real"]
    assert few["annotated"] == round(few["real"] / 4) < everything["annotated"]


def test_what_cells_have_in_common_is_made_once(folder: Path, cells: dict[str, Any]) -> None:
    runs = folder / "runs" / "toy"
    for name, same in (("teacher", True), ("students/real", True), ("students/real+annotated", 0)):
        files = [next((runs / cell / name).rglob("model.safetensors")) for cell in (FEW, ALL)]
        assert files[0].samefile(files[1]) == same


def test_the_table_is_there_as_csv_and_as_a_page(folder: Path, cells: dict[str, Any]) -> None:
    with (folder / "runs" / "toy" / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["cell"], row["arm"]) for row in rows[-2:]] == [
        (ALL, "real"),
        (ALL, "real+annotated"),
    ]
    assert float(rows[-1]["mean"]) == cells[ALL]["evaluation"]["arms"][1]["mean"]
    page = (folder / "runs" / "toy" / "sweep.html").read_text(encoding="utf-8")
    assert "2 of 4 cells have a result" in page


def test_the_same_command_does_nothing_twice(folder: Path, cells: dict[str, Any]) -> None:
    manifests = sorted((folder / "runs" / "toy").rglob("manifest.json"))
    before = {path: path.stat().st_mtime_ns for path in manifests}
    again = json.loads(sweep(folder).stdout)
    assert {cell["cell"]: cell for cell in again["cells"]} == cells
    assert {path: path.stat().st_mtime_ns for path in manifests} == before
