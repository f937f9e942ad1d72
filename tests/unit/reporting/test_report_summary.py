"""The few lines that a run leaves behind, however it ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from sample_run import make_run

from components.summarize import summarize as component
from daftt_core.config import FORM_SETTINGS, ClusterConfig, json_argument
from daftt_core.errors import DataError
from daftt_core.notifications import ending_of
from daftt_core.reporting import summarize
from daftt_core.stages import EVALUATION, ArmScores, EvaluationResult
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, run_stage


def _fail(folder: Path) -> dict[str, object]:
    raise DataError("my.csv, line 3: the label 'mabye' is not known")


def test_a_run_that_succeeded_says_its_result(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    text = summarize(run, ending_of(run, "COMPLETE"))
    assert text.startswith("# A run ended without a proven gain: run\n")
    assert "| evaluation | done |" in text
    assert text.splitlines()[2].startswith("64 labels and 900 annotated by the teacher")
    assert (tmp_path / "run" / "summary.md").read_text(encoding="utf-8") == text


def test_the_arms_are_a_table_and_the_chosen_one_is_marked(tmp_path: Path) -> None:
    run = Run(uri=str(tmp_path / "run"), seed=1, task=load_task("movie-reviews"))
    gain = {"gain": 13.8, "gain_low": 11.0, "gain_high": 16.5}
    arms = {"real": ArmScores(mean=0.693), "real+both": ArmScores(mean=0.831, **gain)}
    result = EvaluationResult(
        headline="It gained.", metric="accuracy", chosen_arm="real+both", arms=arms
    )
    run_stage(run, EVALUATION, [], lambda _: result)
    text = summarize(run, ending_of(run, "COMPLETE"), "daftt-7")
    assert "| real | 69.3% |  |" in text
    assert "| real+both (chosen on dev) | 83.1% | +13.8 (+11.0 to +16.5) points |" in text
    assert text.endswith(f"All of it is in `{run.uri}`; the workflow is `daftt-7`\n")


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    run = Run(uri=str(tmp_path / "run"), seed=1, task=load_task("movie-reviews"))
    with pytest.raises(DataError):
        run_stage(run, "data", [], _fail)
    text = summarize(run, ending_of(run, "FAILED", "Task data failed."))
    assert text.startswith("# A run failed: run\n")
    assert "stage data: my.csv, line 3: the label 'mabye' is not known" in text
    assert "| data | failed |  |" in text


def test_a_run_that_did_not_begin_leaves_no_folder(tmp_path: Path) -> None:
    run = Run(uri=str(tmp_path / "run"), seed=1, task=load_task("movie-reviews"))
    assert "No stage has begun." in summarize(run, ending_of(run, "FAILED"))
    assert not (tmp_path / "run").exists()


def test_the_component_finds_the_run_by_its_settings_or_says_that_there_is_none(
    tmp_path: Path,
) -> None:
    class Ended:
        state, error_message = "FAILED", "the settings are wrong"

    form = dict.fromkeys((*FORM_SETTINGS, "preset"), "") | {"settings": {}}
    form |= {"output": str(tmp_path), "compiled_in": json_argument(ClusterConfig())}
    assert set(form) == set(component.component_spec.inputs) - {"status"}
    shown, page = (SimpleNamespace(path=tmp_path / name) for name in ("summary.md", "report.html"))
    component.python_func(**form, status=Ended, summary=shown, report=page)
    assert str(tmp_path / "movie-reviews-") in shown.path.read_text(encoding="utf-8")
    component.python_func(**form | {"student_seeds": "0"}, status=Ended, summary=shown, report=page)
    assert "# A run failed" in shown.path.read_text(encoding="utf-8")


def test_settings_that_make_no_run_are_named_where_kubeflow_says_nothing(tmp_path: Path) -> None:
    class Ended:
        state, error_message = "FAILED", ""

    form = dict.fromkeys((*FORM_SETTINGS, "preset"), "") | {"settings": {"student_epochs": 0}}
    form |= {"compiled_in": json_argument(ClusterConfig())}
    shown, page = (SimpleNamespace(path=tmp_path / name) for name in ("summary.md", "report.html"))
    component.python_func(**form, status=Ended, summary=shown, report=page)
    summary = shown.path.read_text(encoding="utf-8")
    assert "- `student_epochs: 0 should be greater than or equal to 1" in summary
