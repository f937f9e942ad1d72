"""The list of runs, from folders that real stages made."""

from __future__ import annotations

import json

import pytest

from daftt_core.cli.app import main
from daftt_core.cli.local.marks import is_running, marked_as_running
from daftt_core.cli.runs.stored_runs import find_runs
from daftt_core.errors import DataError
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, run_stage


def _run(output, name: str) -> Run:
    return Run(uri=str(output / name), seed=1, task=load_task("movie-reviews"))


def _fail(folder):
    raise DataError("my.csv, line 3: the label 'mabye' is not known")


@pytest.fixture
def output(tmp_path):
    """Four runs: one is done, one has failed, one goes on, and one was cut off."""
    done = _run(tmp_path, "done")
    run_stage(done, "data", [], lambda folder: {})
    run_stage(done, "report", [], lambda folder: {})
    with pytest.raises(DataError):
        run_stage(_run(tmp_path, "failed"), "data", [], _fail)
    run_stage(_run(tmp_path, "running"), "data", [], lambda folder: {})
    run_stage(_run(tmp_path, "cut-off"), "data", [], lambda folder: {})
    (tmp_path / "not-a-run").mkdir()
    return tmp_path


def test_every_run_and_what_became_of_it(output, capsys) -> None:
    with marked_as_running(output / "running"):
        assert main(["runs", "--output", str(output), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in found] == ["cut-off", "running", "failed", "done"]
    assert [run["status"] for run in found] == ["interrupted", "running", "failed", "done"]
    assert found[2]["headline"] == "stage data: my.csv, line 3: the label 'mabye' is not known"


def test_the_table_names_them_all(output, capsys) -> None:
    assert main(["runs", "--output", str(output)]) == 0
    out = capsys.readouterr().out
    for name in ("done", "failed", "running", "cut-off"):
        assert name in out
    assert "not-a-run" not in out


def test_a_mended_run_is_no_longer_failed(output) -> None:
    run = _run(output, "failed")
    run_stage(run, "data", [], lambda folder: {})
    run_stage(run, "report", [], lambda folder: {})
    assert {found.name: found.status for found in find_runs(str(output))}["failed"] == "done"


def test_a_review_does_not_change_what_became_of_a_run(output) -> None:
    run_stage(_run(output, "done"), "review/sheet", [], lambda folder: {})
    with pytest.raises(DataError):
        run_stage(_run(output, "done"), "review/marks", [], _fail)
    assert {found.name: found.status for found in find_runs(str(output))}["done"] == "done"


def test_a_cell_is_found_where_asked_for_and_goes_on_with_its_sweep(output) -> None:
    run_stage(_run(output / "sweep", "cell"), "data", [], lambda folder: {})
    assert "sweep/cell" not in {found.name for found in find_runs(str(output))}
    found = {found.name: found.status for found in find_runs(f"{output}/", cells=True)}
    assert found["sweep/cell"] == "interrupted"
    assert found["done"] == "done"
    with marked_as_running(output / "sweep"):
        found = {found.name: found.status for found in find_runs(str(output), cells=True)}
    assert found["sweep/cell"] == "running"


def test_no_runs(tmp_path, capsys) -> None:
    assert main(["runs", "--output", str(tmp_path / "nowhere")]) == 5
    assert "nowhere: there is no such folder" in capsys.readouterr().err
    assert main(["runs", "--output", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_the_mark_goes_with_the_process(tmp_path) -> None:
    assert not is_running(tmp_path)
    with marked_as_running(tmp_path), marked_as_running(tmp_path):
        assert is_running(tmp_path)
    assert not is_running(tmp_path)


def test_a_report_of_no_run_is_one_sentence(output, capsys) -> None:
    assert main(["report", "don", "--output", str(output)]) == 5
    assert "did you mean 'done'?" in capsys.readouterr().err
    assert main(["report", "latest", "--output", str(output / "not-a-run")]) == 5
    assert "there is no run in it" in capsys.readouterr().err
