"""A version as a folder: where it may go, and what an ONNX file is checked on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from registry_runs import examples, finished_run, promoted, write

from daftt_core.errors import ConfigError, StorageError
from daftt_core.registry import read_decision
from daftt_core.registry.export import export_version


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
        with pytest.raises(ConfigError, match="is the current folder; name one to be made"):
            export_version(registry, "meals", version, Path(place))
    with pytest.raises(ConfigError, match="must be one line of text"):
        export_version(registry, "meals", version, tmp_path / "a\nb")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/serving: cannot be written: Not a directory"):
        export_version(registry, "meals", version, tmp_path / "file" / "serving")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


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
