"""The components' bodies, called as plain functions on a small run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kfp import dsl
from toy_run import toy_config

from components.collect_sweep import collect_sweep
from components.plan_sweep import plan_sweep
from components.prepare import prepare
from components.prepare_data import prepare_data
from components.train_teacher import train_teacher
from daftt_core.config import FORM_SETTINGS, ClusterConfig, json_argument, to_flat
from daftt_core.errors import StorageError
from daftt_core.stages import TriggerResult, numbers, references
from daftt_core.workspace import finished_stages, load_run


def artifact(path: Path) -> Any:
    """Return what a component is given for an output."""
    return SimpleNamespace(path=str(path), metadata={})


NAMES = (
    *(
        "run",
        "digest",
        "Output",
        "reason",
        "gpu_resource",
        "gpus",
        "teacher_gpus",
        "cpus",
        "memory",
    ),
    *("data", "test", "mixture", "baseline_arms"),
)
FORM = {
    **dict.fromkeys(FORM_SETTINGS, ""),
    "preset": "",
    "settings": {},
    "compiled_in": json_argument(ClusterConfig()),
}


def check(folder: Path, **settings: object) -> Any:
    outputs = {name: artifact(folder / name) for name in ("labelled_data", "mixture_tasks")}
    form = FORM | {"settings": to_flat(toy_config(folder, **settings))} | outputs
    handed_on = dict(zip(NAMES, prepare.python_func(**form), strict=True))
    return SimpleNamespace(**handed_on, artifacts=outputs)


def test_the_first_step_commits_the_settings_and_hands_out_what_pods_get(tmp_path: Path) -> None:
    checked = check(tmp_path, cluster_gpus=2, cluster_memory="12Gi", teacher_epochs=7)
    run, config = load_run(checked.run, checked.digest)
    assert run.task.id == "meals"
    assert config.teacher.epochs == 7
    assert (checked.gpus, checked.teacher_gpus, checked.memory) == ("2", "0", "12Gi")


def test_fields_win_over_settings_and_settings_over_presets(tmp_path: Path) -> None:
    settings = to_flat(toy_config(tmp_path)) | {"teacher_epochs": 5.0}  # JSON's numbers are doubles
    shown = {name: artifact(tmp_path / name) for name in ("labelled_data", "mixture_tasks")}
    for name in ("student_seeds", "student_gold_arm", "data_unlabelled_count"):
        del settings[name]
    form = FORM | {"settings": settings, "preset": "quick", "data_labelled_count": "20"}
    run, digest, *_ = prepare.python_func(**form, **shown)
    config = load_run(run, digest)[1]
    assert config.teacher.epochs == 5
    assert (config.student.seeds, config.student.gold_arm) == (1, False)
    assert config.data.labelled_count == 20


def test_what_was_compiled_in_cannot_be_changed_in_a_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KFP_POD_NAME", "a-step")
    with pytest.raises(SystemExit) as ended:
        check(tmp_path, cluster_hub_secret="other")
    assert ended.value.code == 2
    sentence = "cluster_hub_secret: 'other' is set, but the pipeline was uploaded with"
    assert sentence in capsys.readouterr().err


def test_settings_that_were_changed_meanwhile_are_not_read(tmp_path: Path) -> None:
    checked = check(tmp_path, name="one")
    check(tmp_path, name="one", teacher_epochs=3)
    with pytest.raises(StorageError, match="settings of this run were changed or removed"):
        load_run(checked.run, checked.digest)


def test_the_first_step_reports_every_mistake_and_ends_with_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = to_flat(toy_config(tmp_path)) | {"student_epochs": 0, "synthesis_mode": "guess"}
    with pytest.raises(SystemExit) as ended:
        prepare.python_func(
            **FORM | {"settings": settings},
            labelled_data=artifact(tmp_path / "data"),
            mixture_tasks=artifact(tmp_path / "tasks.md"),
        )
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "student_epochs: 0 should be greater than or equal to 1" in said
    assert "synthesis_mode: 'guess' should be 'annotate', 'generate' or 'both'" in said
    assert "Traceback" not in said


def test_an_artifact_says_where_a_stage_is_and_what_it_holds(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    prepared = check(tmp_path, teacher_epochs=1, mixture_tasks=2, mixture_share=0.8)
    assert len(prepared.data) == len(prepared.test) == len(prepared.mixture) == 16
    assert prepared.baseline_arms == "real,gold"
    data = prepared.artifacts["labelled_data"]
    assert data.metadata["location"] == f"{prepared.run}/data"
    assert (data.metadata["digest"], data.metadata["sizes.labelled"]) == (prepared.data, 32)
    assert json.loads(Path(data.path).read_text())["summary"]["sizes"]["labelled"] == 32
    tasks = Path(prepared.artifacts["mixture_tasks"].path).read_text()
    assert tasks.count("CC0-1.0") == 2
    teacher = artifact(tmp_path / "teacher.json")
    form = (prepared.run, prepared.digest, prepared.data, prepared.mixture)
    digest = train_teacher.python_func(*form, teacher)
    assert teacher.metadata["mixed_in"] == 16
    assert teacher.metadata["steps"] == 10
    assert train_teacher.python_func(*form, teacher) == digest


def test_a_cell_of_a_sweep_prepares_the_data_that_a_run_does(tmp_path: Path) -> None:
    prepared = check(tmp_path, mixture_tasks=2)
    data = artifact(tmp_path / "again.json")
    handed_on = prepare_data.python_func(prepared.run, prepared.digest, data)
    assert handed_on == (prepared.data, prepared.test, prepared.mixture, prepared.baseline_arms)


def test_the_first_step_says_whether_to_train_and_why(tmp_path: Path) -> None:
    prepared = check(tmp_path)
    assert prepared.Output == "yes"
    assert prepared.reason == "Training: requested by trigger_when: always."


def test_without_a_reason_to_train_nothing_is_prepared_and_a_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = SimpleNamespace(result=TriggerResult(train=False, reason="Nothing is new."))
    monkeypatch.setattr("daftt_core.retraining.check_trigger", lambda *_: verdict)
    prepared = check(tmp_path)
    assert (prepared.Output, prepared.reason) == ("no", "Nothing is new.")
    assert (prepared.data, prepared.baseline_arms) == ("", "")
    run, _ = load_run(prepared.run, prepared.digest)
    assert {"preflight", "report"} == set(finished_stages(run))


def test_the_cells_of_a_sweep_are_committed_as_runs_are(tmp_path: Path) -> None:
    settings = to_flat(toy_config(tmp_path, name="sweep"))
    varied = {"fractions": [0.5], "ratios": [2], "modes": ["annotate"], "mixtures": [6]}
    form = {name: FORM[name] for name in ("name", "output", "preset", "task", "compiled_in")}
    form |= {"settings": settings, **varied}
    (item,) = plan_sweep.python_func(**form)
    run, config = load_run(item["run"], item["settings"])
    assert run.uri == f"{tmp_path}/runs/sweep/fraction-0.5-ratio-2-annotate-mixture-6"
    assert run.family == f"{tmp_path}/runs/sweep"
    assert (config.mixture.tasks, config.data.labelled_fraction) == (6, 0.5)
    assert (config.curation.ratio, config.synthesis.mode) == (2, "annotate")
    assert (item["gpus"], item["memory"]) == ("0", "8Gi")
    table = SimpleNamespace(path=tmp_path / "table.html")
    collect_sweep.python_func(**form, table=table)
    assert "unfinished: it came as far as stage preflight" in table.path.read_text()


def test_references_and_numbers() -> None:
    assert references(["students/real+both@abc", "students/gold@d,students/real@e", ""]) == {
        "students/real+both": "abc",
        "students/gold": "d",
        "students/real": "e",
    }
    summary = {"a": 1, "b": {"c": 0.5, "d": float("nan")}, "e": True, "f": "x", "g": [1]}
    assert numbers(summary) == {"a": 1.0, "b.c": 0.5}


def test_every_component_says_what_it_takes() -> None:
    assert isinstance(prepare, dsl.base_component.BaseComponent)
    assert prepare.description.startswith("Check every setting")
