"""The compiled sweep: cells of the main pipeline's stages, a table whatever happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from daftt_core.cli.authoring.compile import PIPELINES, is_up_to_date

PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
COMPILED = Path(__file__).parents[2] / "pipelines" / "compiled"


def read(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((COMPILED / f"{name}.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return read("sweep")[0]


def steps(spec: dict[str, Any], component: str) -> dict[str, Any]:
    return spec["components"][component]["dag"]["tasks"]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_compiled_file_is_what_the_code_compiles_to(name: str) -> None:
    assert is_up_to_date(COMPILED / f"{name}.yaml")


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_is_handed_what_it_names(name: str) -> None:
    # kfp forgets some in the bodies of loops, and a cluster then refuses the task
    spec, _ = read(name)
    for component in (spec["root"], *spec["components"].values()):
        handed = component.get("inputDefinitions", {}).get("parameters", {})
        for task in component.get("dag", {}).get("tasks", {}).values():
            inputs = task.get("inputs", {}).get("parameters", {})
            for source in inputs.values():
                constant = str(source.get("runtimeValue", {}).get("constant", ""))
                assert set(PLACEHOLDER.findall(constant)) <= set(inputs)
                parameter = source.get("componentInputParameter")
                assert parameter is None or parameter in handed


def test_the_table_is_made_whatever_becomes_of_the_cells(spec: dict[str, Any]) -> None:
    root = spec["root"]["dag"]["tasks"]
    assert set(root) == {"collect-sweep", "exit-handler-1"}
    assert root["collect-sweep"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_the_cells_are_one_loop_over_what_the_first_step_lays_out(spec: dict[str, Any]) -> None:
    tasks = steps(spec, "comp-exit-handler-1")
    loop, plan = (tasks[name] for name in sorted(tasks))
    assert [plan["taskInfo"]["name"], loop["taskInfo"]["name"]] == ["Lay out the cells", "Cells"]
    items = loop["parameterIterator"]["items"]["inputParameter"]
    assert items == "pipelinechannel--plan-sweep-Output"
    assert list(steps(spec, loop["componentRef"]["name"])) == ["sweep-cell"]


def test_without_being_told_a_sweep_varies_no_mixture(spec: dict[str, Any]) -> None:
    assert spec["root"]["inputDefinitions"]["parameters"]["mixtures"]["defaultValue"] == [0]


def test_a_cell_is_told_its_run_and_the_digest_of_its_settings(spec: dict[str, Any]) -> None:
    handed = steps(spec, "comp-sweep-cell")["prepare-data"]["inputs"]["parameters"]
    assert set(handed) == {"run", "settings"}


def test_a_cell_has_the_stages_of_a_run_and_promotes_nothing(spec: dict[str, Any]) -> None:
    run, cell = steps(read("daftt")[0], "comp-condition-2"), steps(spec, "comp-sweep-cell")
    shape = {task["taskInfo"]["name"] for task in run.values()}
    assert {task["taskInfo"]["name"] for task in cell.values()} == shape | {"Prepare data"}
    promotes = cell["evaluate"]["inputs"]["parameters"]["promotes"]
    assert promotes == {"runtimeValue": {"constant": False}}


def test_pods_are_alike_in_both_pipelines() -> None:
    run, sweep = (
        read(name)[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for name in ("daftt", "sweep")
    )
    shared = set(run) & set(sweep)
    assert shared == set(run) - {"exec-prepare", "exec-summarize"}
    for name in shared:
        assert set(run[name]) == set(sweep[name]), name
        assert run[name]["activeDeadlineSeconds"] == sweep[name]["activeDeadlineSeconds"]


def test_the_form_has_what_varies_and_what_names_the_sweep(spec: dict[str, Any]) -> None:
    shown = spec["root"]["inputDefinitions"]["parameters"]
    assert list(shown) == [
        *("fractions", "mixtures", "modes", "name", "output"),
        *("preset", "ratios", "settings", "task"),
    ]
    assert all(parameter["description"] for parameter in shown.values())


def test_arms_are_trained_that_curation_has_left_something_for(spec: dict[str, Any]) -> None:
    for tasks in (steps(spec, "comp-sweep-cell"), steps(read("daftt")[0], "comp-condition-2")):
        loop = next(task for task in tasks.values() if task["taskInfo"]["name"] == "Augmented arms")
        items = loop["parameterIterator"]["items"]["inputParameter"]
        assert items == "pipelinechannel--curate-Output"
