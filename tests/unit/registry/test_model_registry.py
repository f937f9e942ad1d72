"""A promoted version is registered in Kubeflow's Model Registry; a failure is a warning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from model_registry_api import ModelRegistry, model_registry
from registry_runs import finished_run, promoted

from daftt_core.cli import main
from daftt_core.config import from_flat
from daftt_core.errors import ConfigError
from daftt_core.registry import read_decision, read_lineage


@pytest.fixture
def server() -> Iterator[ModelRegistry]:
    with model_registry() as state:
        yield state


def text_of(properties: dict[str, dict[str, object]], name: str) -> object:
    return properties[name]["string_value"]


def test_versions_of_a_task_are_registered_as_they_are_promoted(
    tmp_path: Path, server: ModelRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"promotion_model_registry": f"{server.url}/"}
    first, config = finished_run(tmp_path, "first", **settings)
    promoted(first, config)
    old = read_decision(first)
    (model,) = server.models.values()
    (version,) = server.versions.values()
    assert (model["name"], version["name"]) == ("meals", old.version)
    assert version["registeredModelId"] == model["id"]
    assert (version["author"], version["description"]) == ("ann", old.reason)
    properties = version["customProperties"]
    assert text_of(properties, "run") == "first"
    assert properties["test_accuracy"]["double_value"] == pytest.approx(0.9)
    (artifact,) = server.artifacts.values()
    assert artifact["version"] == version["id"]
    assert text_of(properties, "files") == artifact["uri"]
    place = Path(artifact["uri"].removeprefix("file://"))
    assert (place / "model.safetensors").is_file()
    assert text_of(model["customProperties"], "daftt_champion") == old.version

    writes = list(server.writes)
    promoted(first, config)
    assert server.writes == writes, "done once"

    second, config = finished_run(tmp_path, "second", right=1.0, model_seed=2, **settings)
    promoted(second, config)
    new = read_decision(second).version
    assert [each["name"] for each in server.versions.values()] == [old.version, new]
    assert text_of(model["customProperties"], "daftt_champion") == new

    place_of = ["--registry", str(tmp_path / "runs" / "registry")]
    assert main(["registry", "rollback", "meals", "--why", "wrong", *place_of]) == 0
    assert text_of(model["customProperties"], "daftt_champion") == old.version
    assert len(server.versions) == 2
    capsys.readouterr()
    assert main(["registry", "register", "meals", *place_of]) == 0
    assert capsys.readouterr().out.strip().endswith(f"/model_versions/{version['id']}")


def test_what_was_made_is_found_where_the_answer_was_lost(
    tmp_path: Path, server: ModelRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    server.is_losing = True
    run, config = finished_run(tmp_path, "first", promotion_model_registry=server.url)
    with caplog.at_level("INFO", "daftt"):
        promoted(run, config)
    assert "registered as" in caplog.text
    tables = (server.models, server.versions, server.artifacts)
    assert [len(table) for table in tables] == [1, 1, 1]


def test_no_property_is_empty_because_the_ui_would_take_it_for_a_label(
    tmp_path: Path, server: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``getLabels`` in kubeflow/model-registry, clients/ui/frontend."""
    run, config = finished_run(tmp_path, "first", promotion_model_registry=server.url)
    without = {"teacher": {}, "test_digest": ""}
    monkeypatch.setattr(
        "daftt_core.registry.model_registry.read_lineage",
        lambda *words: read_lineage(*words).model_copy(update=without),
    )
    promoted(run, config)
    (version,) = server.versions.values()
    properties = version["customProperties"]
    assert not {"teacher", "test_digest"} & set(properties)
    assert text_of(properties, "student")


def test_a_refused_student_is_not_registered(tmp_path: Path, server: ModelRegistry) -> None:
    settings = {"promotion_model_registry": server.url}
    run, config = finished_run(tmp_path, "first", right=0.61, **settings)
    assert not promoted(run, config).summary["promoted"]
    assert not server.writes


def test_a_failure_is_a_warning_and_can_be_made_good(
    tmp_path: Path,
    server: ModelRegistry,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.token = "let me in"
    run, config = finished_run(tmp_path, "first", promotion_model_registry=server.url)
    with caplog.at_level("WARNING", "daftt"):
        assert promoted(run, config).summary["promoted"]
    assert "is the champion and is not in Kubeflow's Model Registry" in caplog.text
    assert "it answers 401 to GET" in caplog.text
    words = ["registry", "register", "meals", "--registry", str(tmp_path / "runs" / "registry")]
    assert main(words) == 10
    assert "'who are you?'" in capsys.readouterr().err
    monkeypatch.setenv("DAFTT_MODEL_REGISTRY_TOKEN", "let me in")
    assert main(words) == 0
    assert len(server.versions) == 1
    server.failing = 404
    assert main(words) == 10
    assert "must be the address of its REST API" in capsys.readouterr().err


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="promotion: model_registry must begin with http://"):
        from_flat({"promotion_model_registry": "model-registry:8080"})
