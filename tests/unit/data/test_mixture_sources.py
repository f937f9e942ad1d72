"""Where mixtures come from: folders, buckets and data sets, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from gcs_server import gcs_server, make_bucket

from daftt_core.data.task_sources import open_source
from daftt_core.errors import DataError, StorageError


def task(name: str) -> bytes:
    fields = {"Definition": [name], "Instances": [{"input": f"{name} in", "output": ["out"]}]}
    return json.dumps(fields).encode()


def rows() -> dict[str, list[Any]]:
    names = ["task1_a", "../../etc/passwd", "task1_a", "task2_b"]
    return {
        "task_name": names,
        "id": [f"{name}-{n}" for n, name in enumerate(names)],
        "definition": [f"Do {name}." for name in names],
        "inputs": ["one", "two", "three", "four"],
        "targets": ["1", "2", "3", "4"],
    }


def test_a_folder_gives_its_task_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "task1.json").write_bytes(task("one"))
    (tmp_path / "README.md").write_text("not a task")
    (tmp_path / ".hidden.json").write_text("not a task")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "task2.json").write_bytes(task("two"))
    for source in (str(tmp_path), f"file://{tmp_path}"):
        tasks = open_source(source)
        assert tasks.names() == ["task1"]
        found, sha256 = tasks.read("task1")
        assert found.instruction == "one"
        assert len(sha256) == 64


def test_no_source_is_the_own_mixture() -> None:
    assert len(open_source("").names()) >= 6


def test_a_prefix_of_a_bucket_is_read_task_by_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gcs_server(tmp_path / "server") as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        make_bucket(url, "tasks")
        from daftt_core.storage import open_storage

        storage = open_storage("gs://tasks/sni/tasks")
        for name in ("task1", "task2 é", "below/task3"):
            storage.write(f"{name}.json", task(name))
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "task1.json").write_bytes(task("task1"))
        tasks = open_source("gs://tasks/sni/tasks")
        assert sorted(tasks.names()) == ["task1", "task2 é"]
        assert tasks.read("task1") == open_source(str(tmp_path / "folder")).read("task1")
        with pytest.raises(DataError, match=r"gs://tasks/sni: holds no .*in its folder 'tasks'"):
            open_source("gs://tasks/sni")
        storage.delete(["task1.json"])
        with pytest.raises(StorageError, match=r"gs://tasks/sni/tasks/task1\.json: was removed"):
            tasks.read("task1")
        with pytest.raises(StorageError, match="there is no such bucket"):
            open_source("gs://missing/sni")


@pytest.mark.parametrize("with_splits", [False, True])
def test_a_saved_data_set_gives_its_rows_by_task(tmp_path: Path, with_splits: bool) -> None:
    flat = Dataset.from_dict(rows())
    saved = DatasetDict(train=flat, test=flat.select([0])) if with_splits else flat
    saved.save_to_disk(str(tmp_path / "sni"))
    tasks = open_source(str(tmp_path / "sni"))
    assert sorted(tasks.names()) == ["../../etc/passwd", "task1_a", "task2_b"]
    found, sha256 = tasks.read("task1_a")
    assert found.instruction == "Do task1_a."
    assert [(one.input, one.output) for one in found.instances] == [
        ("one", ["1"]),
        ("three", ["3"]),
    ]
    assert found.license == []
    backwards = flat.select([3, 2, 1, 0])
    backwards.save_to_disk(str(tmp_path / "backwards"))
    assert open_source(str(tmp_path / "backwards")).read("task1_a")[1] == sha256


def test_a_data_set_without_the_columns_is_refused(tmp_path: Path) -> None:
    Dataset.from_dict({"task_name": ["a"], "inputs": ["b"]}).save_to_disk(str(tmp_path / "x"))
    with pytest.raises(DataError, match=r"has no column 'definition' \(columns found: task_name,"):
        open_source(str(tmp_path / "x"))
    DatasetDict(test=Dataset.from_dict(rows())).save_to_disk(str(tmp_path / "y"))
    with pytest.raises(DataError, match=r"has no split 'train' \(found: test\)"):
        open_source(str(tmp_path / "y"))
    Dataset.from_dict(rows() | {"task_name": [1, 2, 3, 4]}).save_to_disk(str(tmp_path / "z"))
    with pytest.raises(DataError, match="task_name: must be text in every row"):
        open_source(str(tmp_path / "z")).names()
    Dataset.from_dict(rows() | {"inputs": [1, 2, 3, 4]}).save_to_disk(str(tmp_path / "w"))
    with pytest.raises(DataError, match=r"task 'task2_b': Instances\.0\.input: 4 is not text"):
        open_source(str(tmp_path / "w")).read("task2_b")


def test_a_damaged_data_set_is_refused(tmp_path: Path) -> None:
    Dataset.from_dict(rows()).save_to_disk(str(tmp_path / "sni"))
    (tmp_path / "sni" / "state.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read as a data set"):
        open_source(str(tmp_path / "sni"))


@pytest.mark.parametrize("source", ["no/such/folder", "missing", "/missing/too", "a b/c"])
def test_a_source_that_does_not_exist_is_named(source: str) -> None:
    with pytest.raises(DataError, match=f"mixture_source: {source}: there is no such folder"):
        open_source(source)


def test_a_hub_that_cannot_deliver_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"is no folder here, and the Hugging Face Hub could not"):
        open_source("nobody/no-such-data-set")


@pytest.mark.parametrize(("source", "revision"), [("acme/sni", None), ("acme/sni@v1", "v1")])
def test_a_data_set_of_a_revision_is_that_one(
    source: str, revision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def load(name: str, _config: None, **settings: object) -> Dataset:
        asked.append((name, settings))
        return Dataset.from_dict(rows())

    monkeypatch.setattr("datasets.load_dataset", load)
    assert open_source(source).names()
    assert asked == [("acme/sni", {"split": "train", "revision": revision})]


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(StorageError, match="the scheme 'az' is not known"):
        open_source("az://bucket/tasks")


def test_an_empty_folder_holds_no_tasks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no task files \(\.json\)$"):
        open_source(str(tmp_path))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(10**12)  # sparse: it takes no room
    with pytest.raises(DataError, match=r"huge\.json: is 1,000,000 MB; a task file may have 134"):
        open_source(str(tmp_path)).read("huge")
