"""The components' bodies, called as plain functions on a small run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from components.preflight_cell import preflight_cell
from kfp import dsl
from toy_run import toy_config

from components.check_trigger import check_trigger
from components.collect_sweep import collect_sweep
from components.plan_sweep import plan_sweep
from components.preflight import preflight
from components.prepare_data import prepare_data
from components.train_teacher import train_teacher
from daftt_core.config import to_flat
from daftt_core.stages.results import numbers, references


class Metrics:
    """Takes what a component logs."""

    def __init__(self) -> None:
        self.logged: dict[str, float] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


def check(folder: Path, **settings: object) -> Any:
    names = ("run", "data", "mixture", "teacher", "synthesis", "curation", "student")
    names += ("evaluation", "job", "shards", "augmented_arms", "promotion", "trigger")
    outputs = preflight.python_func(**to_flat(toy_config(folder, **settings)))
    return SimpleNamespace(**dict(zip(names, outputs, strict=True)))


def test_preflight_hands_each_stage_its_own_section(tmp_path: Path) -> None:
    checked = check(tmp_path, synthesis_mode="annotate", synthesis_shards=2)
    assert '"id":"meals"' in checked.run
    assert '"epochs":20' in checked.teacher
    assert "learning_rate" not in checked.data
    assert checked.shards == [
        {"source": "annotated", "shard": "0"},
        {"source": "annotated", "shard": "1"},
    ]
    assert checked.augmented_arms == [{"arm": "real+annotated"}]


def test_preflight_reports_every_mistake_and_ends_with_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = to_flat(toy_config(tmp_path)) | {"student_epochs": 0, "synthesis_mode": "guess"}
    with pytest.raises(SystemExit) as ended:
        preflight.python_func(**settings)
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
    data, test, mixture, arms = prepare_data.python_func(
        *(checked.run, checked.data, checked.mixture, checked.teacher, checked.student),
        counts,
        table,
    )
    assert counts.logged["sizes.labelled"] == 32
    assert len(data) == len(test) == len(mixture) == 16
    assert counts.logged["mixture.examples"] == 16
    assert (tmp_path / "tasks.md").read_text().count("CC0-1.0") == 2
    assert arms == [{"arm": "gold"}, {"arm": "real"}]
    asked = (checked.run, checked.teacher, checked.job, data, mixture)
    (digest,) = train_teacher.python_func(*asked, steps)
    assert steps.logged["mixed_in"] == 16
    assert steps.logged["steps"] == 10
    again = train_teacher.python_func(*asked, Metrics())
    assert again == (digest,)


def test_the_trigger_says_whether_to_train_and_why(tmp_path: Path) -> None:
    checked, asked = check(tmp_path), Metrics()
    said = SimpleNamespace(path=str(tmp_path / "verdict.md"))
    train, reason = check_trigger.python_func(
        *(checked.run, checked.trigger, checked.data, checked.promotion), asked, said
    )
    assert train == "yes"
    assert reason == "Training: so it was asked for (trigger_when: always)."
    assert asked.logged["train"] == 1
    assert asked.logged["labelled_rows"] == 400
    assert "so it was asked for" in (tmp_path / "verdict.md").read_text()


def test_a_cell_is_checked_and_handed_out_as_a_run_is(tmp_path: Path) -> None:
    flat = to_flat(toy_config(tmp_path, name="sweep"))
    settings = {name: value for name, value in flat.items() if not name.startswith("cluster_")}
    varied = (settings, [0.5], [2], ["annotate"], [6])
    (item,) = plan_sweep.python_func(*varied)
    assert item == {
        "cell": "fraction-0.5-ratio-2-annotate-mixture-6",
        "fraction": "0.5",
        "ratio": "2.0",
        "mode": "annotate",
        "mixture_tasks": "6",
    }
    del item["cell"]
    outputs = preflight_cell.python_func(settings, **item)
    run, data, mixture, _, _, curation, *_, shards, arms = outputs
    assert f"{tmp_path}/runs/sweep/fraction-0.5-ratio-2-annotate-mixture-6" in run
    assert '"tasks":6' in mixture
    assert '"labelled_fraction":0.5' in data
    assert '"ratio":2.0' in curation
    assert {shard["source"] for shard in shards} == {"annotated"}
    assert arms == [{"arm": "real+annotated"}]
    table = SimpleNamespace(path=tmp_path / "table.html")
    collect_sweep.python_func(*varied, table)
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
    assert preflight.description.startswith("Nest and check all settings")
