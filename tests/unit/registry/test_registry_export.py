"""A version as a folder: where it may go, and what an ONNX file is checked on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from registry_runs import examples, finished_run, promoted, write

from daftt_core.errors import ConfigError, ModelError, StorageError
from daftt_core.modeling.finding import find_model
from daftt_core.records import write_text
from daftt_core.registry import read_decision
from daftt_core.registry.export import export_version
from daftt_core.registry.models import Ledger


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where the runs are, and the version that one of them has made the champion."""
    folder = tmp_path_factory.mktemp("export")
    run, config = finished_run(folder, "first", student_max_length=32)
    promoted(run, config)
    return folder / "runs", read_decision(run).version


def test_the_current_folder_and_names_of_several_lines_are_refused(
    first: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, version = first
    registry = str(runs / "registry")
    monkeypatch.chdir(tmp_path)
    for place in (".", ""):
        with pytest.raises(ConfigError, match="is the current folder; name a new one"):
            export_version(registry, "meals", version, Path(place))
    with pytest.raises(ConfigError, match="must be one line of text"):
        export_version(registry, "meals", version, tmp_path / "a\nb")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/serving: cannot be written: Not a directory"):
        export_version(registry, "meals", version, tmp_path / "file" / "serving")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_only_what_the_manifest_lists_is_exported(
    first: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, version = first
    shutil.copytree(runs / "registry", tmp_path / "registry")
    registry, folder = str(tmp_path / "registry"), tmp_path / "registry/meals/versions" / version
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    export_version(registry, "meals", version, tmp_path / "plain")
    for extra in ("evil.py", "pytorch_model.bin", "adapter_config.json"):
        (folder / extra).write_text("evil")
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "etc").symlink_to("/etc")
    (folder / "more").mkdir()
    (folder / "more" / "model.safetensors").write_text("evil")
    export_version(registry, "meals", version, tmp_path / "serving")
    assert tree(tmp_path / "serving") == tree(tmp_path / "plain")
    listed = {"config.json", "model.safetensors", "README.md", "manifest.json"}
    assert listed <= tree(tmp_path / "serving")
    assert "lineage.json" not in tree(tmp_path / "serving")
    (folder / "config.json").rename(tmp_path / "config.json")
    (folder / "config.json").symlink_to(tmp_path / "config.json")
    with pytest.raises(StorageError, match=r"config\.json: is a link or lies behind one"):
        export_version(registry, "meals", version, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_students_manifest_cannot_make_promotion_write_elsewhere(tmp_path: Path) -> None:
    run, config = finished_run(tmp_path, "hostile", student_max_length=32)
    registry = tmp_path / "runs" / "registry" / "meals"
    write_text(registry / "champion.json", Ledger(task="meals").model_dump_json())
    before = (registry / "champion.json").read_bytes()
    path = tmp_path / "runs" / "hostile" / "students" / "real+annotated" / "manifest.json"
    manifest = json.loads(path.read_text())
    evil = tmp_path / "runs" / "hostile" / "students" / "champion.json"
    evil.write_text("evil")
    entry = {"size": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}
    manifest["files"].append({"name": "seed-1/../../champion.json", **entry})
    path.write_text(json.dumps(manifest))
    with pytest.raises(StorageError, match=r"lists 'seed-1/\.\./\.\./champion\.json', outside"):
        promoted(run, config)
    assert (registry / "champion.json").read_bytes() == before
    assert not (registry / "versions").exists()


def test_a_champion_is_asked_without_what_its_manifest_does_not_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    promoted(*finished_run(tmp_path, "first", 0.8, student_max_length=32))
    (folder,) = (tmp_path / "runs" / "registry" / "meals" / "versions").iterdir()
    (folder / "adapter_config.json").write_text("{")  # transformers would read it
    run, config = finished_run(tmp_path, "second", 0.9, model_seed=1, student_max_length=32)
    promoted(run, config)
    assert read_decision(run).champion == folder.name
    with pytest.raises(ModelError, match=r"adapter_config\.json: is not listed by the manifest"):
        find_model(folder)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["made anew", "removed"])
def test_an_onnx_file_is_made_when_the_versions_run_has_gone_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run, config = finished_run(tmp_path, "weekly", student_max_length=32)
    promoted(run, config)
    version = read_decision(run).version
    if what == "removed":
        shutil.rmtree(tmp_path / "runs" / "weekly")
    else:
        write(run, "data", labelled=examples(100, 8), dev=examples(150, 4))
    monkeypatch.chdir("/")
    registry = str(tmp_path / "runs" / "registry")
    difference = export_version(registry, "meals", version, tmp_path / "serving", onnx=True)
    assert difference is not None
    assert difference < 1e-3
    assert (tmp_path / "serving" / "model.onnx").is_file()
