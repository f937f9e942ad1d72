"""The components' bodies, called as plain functions on a small run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kfp import dsl
from toy_run import toy_config

from components.check_trigger import check_trigger
from components.collect_sweep import collect_sweep
from components.plan_sweep import plan_sweep
from components.preflight import preflight
from components.prepare_data import prepare_data
from components.train_teacher import train_teacher
from daftt_core.config import FORM_SETTINGS, ClusterConfig, json_argument, to_flat
from daftt_core.errors import StorageError
from daftt_core.stages import numbers, references
from daftt_core.workspace import load_run


class Metrics:
    """Takes what a component logs."""

    def __init__(self) -> None:
        self.logged: dict[str, float] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


FORM = {
    **dict.fromkeys(FORM_SETTINGS, ""),
    "preset": "",
    "settings": {},
    "compiled_in": json_argument(ClusterConfig()),
}


def check(folder: Path, **settings: object) -> Any:
    names = ("run", "digest", "gpu_resource", "gpus", "teacher_gpus", "cpus", "memory")
    form = FORM | {"settings": to_flat(toy_config(folder, **settings))}
    return SimpleNamespace(**dict(zip(names, preflight.python_func(**form), strict=True)))


def test_preflight_commits_the_settings_and_hands_out_what_pods_get(tmp_path: Path) -> None:
    checked = check(tmp_path, cluster_gpus=2, cluster_memory="12Gi", teacher_epochs=7)
    run, config = load_run(checked.run, checked.digest)
    assert run.task.id == "meals"
    assert config.teacher.epochs == 7
    assert (checked.gpus, checked.teacher_gpus, checked.memory) == ("2", "0", "12Gi")


def test_fields_win_over_settings_and_settings_over_presets(tmp_path: Path) -> None:
    settings = to_flat(toy_config(tmp_path)) | {"teacher_epochs": 5.0}  # JSON's numbers are doubles
    for name in ("student_seeds", "student_gold_arm", "data_unlabelled_count"):
        del settings[name]
    form = FORM | {"settings": settings, "preset": "quick", "data_labelled_count": "20"}
    run, digest, *_ = preflight.python_func(**form)
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


def test_preflight_reports_every_mistake_and_ends_with_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = to_flat(toy_config(tmp_path)) | {"student_epochs": 0, "synthesis_mode": "guess"}
    with pytest.raises(SystemExit) as ended:
        preflight.python_func(**FORM | {"settings": settings})
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "student_epochs: 0 should be greater than or equal to 1" in said
    assert "synthesis_mode: 'guess' should be 'annotate', 'generate' or 'both'" in said
    assert "Traceback" not in said


def test_a_component_logs_the_numbers_of_its_stage(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    checked = check(tmp_path, teacher_epochs=1, mixture_tasks=2, mixture_share=0.8)
    counts, steps = Metrics(), Metrics()
    table = SimpleNamespace(path=str(tmp_path / "tasks.md"))
    data, test, mixture, arms = prepare_data.python_func(checked.run, checked.digest, counts, table)
    assert counts.logged["sizes.labelled"] == 32
    assert len(data) == len(test) == len(mixture) == 16
    assert counts.logged["mixture.examples"] == 16
    assert (tmp_path / "tasks.md").read_text().count("CC0-1.0") == 2
    assert arms == [{"arm": "gold"}, {"arm": "real"}]
    asked = (checked.run, checked.digest, data, mixture)
    (digest,) = train_teacher.python_func(*asked, steps)
    assert steps.logged["mixed_in"] == 16
    assert steps.logged["steps"] == 10
    again = train_teacher.python_func(*asked, Metrics())
    assert again == (digest,)


def test_the_trigger_says_whether_to_train_and_why(tmp_path: Path) -> None:
    checked, asked = check(tmp_path), Metrics()
    said = SimpleNamespace(path=str(tmp_path / "verdict.md"))
    train, reason = check_trigger.python_func(checked.run, checked.digest, asked, said)
    assert train == "yes"
    assert reason == "Training: requested by trigger_when: always."
    assert asked.logged["train"] == 1
    assert asked.logged["labelled_rows"] == 400
    assert "requested by" in (tmp_path / "verdict.md").read_text()


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
    assert references(["students/real+both@abc", "students/gold@d"]) == {
        "students/real+both": "abc",
        "students/gold": "d",
    }
    summary = {"a": 1, "b": {"c": 0.5, "d": float("nan")}, "e": True, "f": "x", "g": [1]}
    assert numbers(summary) == {"a": 1.0, "b.c": 0.5}


def test_every_component_says_what_it_takes() -> None:
    assert isinstance(preflight, dsl.base_component.BaseComponent)
    assert preflight.description.startswith("Merge the form, presets and settings")
