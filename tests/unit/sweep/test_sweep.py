"""Sweeps: their cells, and the table of what came of them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from daftt_core.errors import ConfigError, DataError, TaskError
from daftt_core.evaluation import ArmResult, Comparison, Evaluation, Interval
from daftt_core.storage import write_text
from daftt_core.sweep import Cell, Sweep, plan_sweep, read_table, write_table
from daftt_core.workspace import run_stage


def plan(folder: Path, fractions=(0.05, 0.01), ratios=(1, 0), **settings: object) -> Sweep:
    return plan_sweep({"output": str(folder), **settings}, fractions, ratios, ["both"])


def mistakes(*args: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan_sweep(*args)
    return str(caught.value).splitlines()


def evaluation() -> Evaluation:
    """Two arms, the second ten points better."""
    gain = Comparison(
        gain=10.0,
        interval=Interval(low=2.0, high=18.0),
        mcnemar_p=None,
        mcnemar_p_holm=None,
        significant=True,
        gap_closed=None,
    )
    arms = tuple(
        ArmResult(
            arm=name,
            training_examples={"real": 8, "annotated": 4, "generated": 2},
            dev_scores=(mean,),
            scores=(mean,),
            mean=mean,
            sd=None,
            interval=Interval(low=mean - 0.1, high=mean + 0.1),
            metrics={},
            comparison=comparison,
        )
        for name, mean, comparison in (("real", 0.5, None), ("real+both", 0.6, gain))
    )
    return Evaluation(
        task_id="movie-reviews",
        kind="classification",
        metric="accuracy",
        confidence=0.95,
        test_examples=100,
        seeds=(0,),
        labels=("negative", "positive"),
        arms=arms,
        chosen_arm="real+both",
        headline="real+both is better.",
    )


def finish(cell: Cell, attempt: int = 1) -> None:
    """Make a cell's stages as a run does that ends well."""

    def work(folder: Path) -> dict[str, object]:
        write_text(folder / "evaluation.json", evaluation().model_dump_json())
        return {}

    run_stage(cell.run, "data", [attempt], lambda _: {})
    run_stage(cell.run, "evaluation", [attempt], work)
    run_stage(cell.run, "report", [attempt], lambda _: {})


def fail(cell: Cell) -> None:
    def work(folder: Path) -> dict[str, object]:
        raise DataError("the file is <empty>")

    with pytest.raises(DataError):
        run_stage(cell.run, "data", ["broken"], work)


def test_each_cell_is_a_whole_run_of_its_own(tmp_path: Path) -> None:
    sweep = plan(tmp_path, name="mine", student_seeds=5)
    assert [cell.name for cell in sweep.cells] == [
        "fraction-0.01-ratio-1-both",
        "fraction-0.01-ratio-0-both",
        "fraction-0.05-ratio-1-both",
        "fraction-0.05-ratio-0-both",
    ]
    first = sweep.cells[0]
    assert first.run.folder == tmp_path / "mine" / first.name
    assert first.config.student.seeds == 5
    assert (first.config.data.labelled_fraction, first.config.curation.ratio) == (0.01, 1)


def test_a_cell_is_found_again_from_its_item_and_from_what_json_makes_of_settings(
    tmp_path: Path,
) -> None:
    settings = {"output": str(tmp_path), "student_seeds": 5.0}  # as Kubeflow hands integers on
    for cell in plan(tmp_path, student_seeds=5).cells:
        item = cell.item
        (again,) = plan_sweep(settings, [item["fraction"]], [item["ratio"]], [item["mode"]]).cells
        assert again == cell


def test_a_sweep_keeps_its_folder_when_cells_are_added(tmp_path: Path) -> None:
    assert plan(tmp_path).uri == plan(tmp_path, fractions=[0.2], ratios=[3]).uri
    assert plan(tmp_path).uri == plan(tmp_path, job_nodes=1, job_cpu="8").uri
    assert plan(tmp_path).uri != plan(tmp_path, student_seeds=5).uri


def test_every_mistake_is_told_before_anything_starts() -> None:
    assert mistakes({"seed": -1, "teached_epochs": 3}, [2, "x"], ["0"], ["guess"]) == [
        "teached_epochs: there is no such parameter; did you mean 'teacher_epochs'?",
        "run.seed: -1 should be greater than or equal to 0",
        "data.labelled_fraction: 2 should be less than or equal to 1",
        "synthesis.mode: 'guess' should be 'annotate', 'generate' or 'both'",
        "data.labelled_fraction: 'x' should be a valid number, unable to parse string as a number",
    ]
    assert mistakes({}, [], [1], ["both"]) == ["fractions: at least one value is needed"]
    assert mistakes({}, ["0.0"], [1], ["both"]) == [
        "fractions: 0 is no share of the labelled examples; it must be above 0"
    ]
    assert mistakes({"curation_ratio": 2, "cluster_gpus": "1"}, [0.1], [1], ["both"]) == [
        "curation_ratio: a sweep sets it for each cell; give ratios instead",
        "cluster_gpus: is a parameter of the sweep itself; give it there, not in settings",
    ]
    assert mistakes({}, [0.1, "0.1"], [1], ["both"]) == [
        "fraction-0.1-ratio-1-both: this cell is asked for twice; remove a repeated value"
    ]
    with pytest.raises(TaskError):
        plan_sweep({"task": "nonsense"}, [0.1], [1], ["both"])


def test_the_table_says_what_came_of_every_cell(tmp_path: Path) -> None:
    sweep = plan(tmp_path)
    done, failed, begun, _ = sweep.cells
    finish(done)
    fail(failed)
    run_stage(begun.run, "data", [], lambda _: {})
    table = write_table(sweep)
    assert [cell.status for cell in table.cells] == ["done", "failed", "unfinished", "unfinished"]
    assert [cell.message for cell in table.lost] == [
        "stage data: the file is <empty>",
        "it came as far as stage data",
        "it has not begun",
    ]
    assert table.cells[1].exit_code == DataError.exit_code
    assert read_table(sweep) == table
    folder = Path(sweep.uri)
    assert json.loads((folder / "sweep.json").read_text())["cells"][0]["evaluation"]["arms"]
    rows = list(csv.DictReader(io.StringIO((folder / "sweep.csv").read_text())))
    assert [row["arm"] for row in rows] == ["real", "real+both", "", "", ""]
    assert rows[1]["gain"] == "10.0"
    page = (folder / "sweep.html").read_text()
    assert "failed: stage data: the file is &lt;empty&gt;" in page
    assert "+10.0" in page


def test_a_result_of_other_settings_is_not_taken_for_the_cells(tmp_path: Path) -> None:
    sweep = plan(tmp_path, fractions=[0.1], ratios=[0])
    (cell,) = sweep.cells
    finish(cell)
    assert write_table(sweep).cells[0].status == "done"
    fail(cell)
    assert write_table(sweep).cells[0].status == "failed"
    finish(cell, attempt=2)
    assert write_table(sweep).cells[0].status == "done"


def test_a_sweep_without_a_table_has_none(tmp_path: Path) -> None:
    assert read_table(plan(tmp_path)) is None
