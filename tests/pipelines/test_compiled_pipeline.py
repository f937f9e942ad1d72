"""The compiled pipeline shows the configuration as it is, and says where everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from daftt_core.config import Config, flat_fields, to_flat

COMPILED = Path(__file__).parents[2] / "pipelines" / "compiled" / "daftt.yaml"
KFP_TYPES = {str: "STRING", int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", bool: "BOOLEAN"}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return yaml.safe_load(COMPILED.read_text(encoding="utf-8"))


def test_each_parameter_is_a_setting_with_its_type_default_and_description(
    spec: dict[str, Any],
) -> None:
    shown = spec["root"]["inputDefinitions"]["parameters"]
    defaults = to_flat(Config())
    assert set(shown) == set(defaults)
    for name, field in flat_fields().items():
        kind = str if get_args(field.annotation) else field.annotation
        assert shown[name]["parameterType"] == KFP_TYPES[kind], name
        assert shown[name]["defaultValue"] == defaults[name], name
        assert shown[name]["description"] == field.description, name


def test_every_container_has_a_pinned_image_and_runs_our_code_only(spec: dict[str, Any]) -> None:
    containers = [
        executor["container"] for executor in spec["deploymentSpec"]["executors"].values()
    ]
    assert len(containers) >= 10
    for container in containers:
        _, _, tag = container["image"].partition(":")
        assert tag not in {"", "latest"}
        assert "pip install" not in " ".join(container["command"])


def test_shards_and_arms_are_loops(spec: dict[str, Any]) -> None:
    loops = {
        task["parameterIterator"]["items"]["inputParameter"]
        for component in spec["components"].values()
        for task in component.get("dag", {}).get("tasks", {}).values()
        if "parameterIterator" in task
    }
    assert loops == {"pipelinechannel--shards", "pipelinechannel--arms"}


def test_weights_never_travel_as_artifacts(spec: dict[str, Any]) -> None:
    kinds = {
        artifact["artifactType"]["schemaTitle"]
        for component in spec["components"].values()
        for artifact in component.get("outputDefinitions", {}).get("artifacts", {}).values()
    }
    assert kinds == {"system.Metrics", "system.ClassificationMetrics", "system.HTML"}
