"""The champion in a bucket: compare-and-swap by generation, and files that must verify."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from faulty_proxy import FaultyProxy
from registry_runs import A, B, C, check_race, decision, finished_run, promoted, race

from daftt_core.cli.app import main
from daftt_core.errors import StorageError
from daftt_core.registry import TaskRegistry, read_decision, read_version, registered_tasks
from daftt_core.storage import RemoteFolder, commit, open_storage
from daftt_core.workspace import Run


@pytest.fixture(autouse=True)
def _cache(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DAFTT_SCRATCH", raising=False)


def make_version(registry: str, version: str, folder: Path) -> None:
    (folder / version).mkdir(parents=True)
    (folder / version / "model.safetensors").write_text(version)
    manifest = commit(folder / version, version)
    remote = RemoteFolder(open_storage(f"{registry}/meals"), f"versions/{version}")
    remote.commit(folder / version, manifest, replaces=remote.version())


def test_of_two_processes_one_wins_and_the_other_is_told(bucket: str, tmp_path: Path) -> None:
    for version in (A, B, C):
        make_version(bucket, version, tmp_path)
    tasks = TaskRegistry(bucket, "meals")
    tasks.promote(decision(A), "one", "ann")
    check_race(tasks, race(bucket, (B, C)))


def test_the_write_names_the_generation_that_was_read(
    proxy: FaultyProxy, bucket: str, tmp_path: Path
) -> None:
    for version in (A, B):
        make_version(bucket, version, tmp_path)
    tasks = TaskRegistry(bucket, "meals")
    tasks.promote(decision(A), "one", "ann")
    tasks.promote(decision(B, A), "two", "ann")
    writes = [r for r in proxy.requests if r.method == "POST" and b"champion.json" in r.body_start]
    conditions = [r.path.partition("ifGenerationMatch=")[2].partition("&")[0] for r in writes]
    assert conditions[0] == "0"
    assert int(conditions[1]) > 0


def check_served(
    registry: str, champion: str, run: Run, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """KServe finds the champion's files, and those of the run's student, where it is told to."""
    bucket = registry.removesuffix("/registry")
    capsys.readouterr()
    for name, place in (("meals", f"{registry}/meals/versions/{champion}/"), (run.uri, run.uri)):
        assert main(["export", name, "--kserve", "meals", "--output", bucket]) == 0
        manifest = yaml.safe_load(capsys.readouterr().out)
        uri = manifest["spec"]["predictor"]["model"]["storageUri"]
        assert uri.startswith(place)
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(
            open_storage(uri).entries("")
        )
        assert main(["predict", name, str(text), "--output", bucket]) == 0
        answers = capsys.readouterr()
        assert champion in answers.err
        assert "1,the soup was cold," in answers.out
    # an exported folder that was copied into the bucket answers alike
    folder, copy = text.with_name("exported"), f"{bucket}/models/meals"
    assert main(["export", "meals", str(folder), "--output", bucket]) == 0
    assert main(["models", "copy", str(folder), copy]) == 0
    capsys.readouterr()
    assert main(["predict", copy, str(text)]) == 0
    assert capsys.readouterr().out == answers.out
    assert main(["predict", f"{bucket}/nothing", str(text)]) == 4
    assert "there is no model in it" in capsys.readouterr().err


def test_a_run_in_a_bucket_promotes_and_goes_back(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, config = finished_run(tmp_path, "first", output=bucket)
    assert promoted(first, config).summary["promoted"] is True
    second, config = finished_run(tmp_path, "second", right=1.0, model_seed=2, output=bucket)
    assert promoted(second, config).summary["promoted"] is True
    registry = f"{bucket}/registry"
    assert registered_tasks(registry) == ["meals"]
    tasks = TaskRegistry(registry, "meals")
    old, new = (read_decision(run).version for run in (first, second))
    folder, lineage, learned = read_version(registry, first.task, new)
    assert (folder / "model.safetensors").is_file()
    assert (lineage.run, lineage.images, len(learned)) == ("second", {}, 20)

    (tmp_path / "text.txt").write_text("the soup was cold\n")
    check_served(registry, new, second, tmp_path / "text.txt", capsys)

    # one byte in the bucket, whatever this machine's cache has
    storage = open_storage(f"{registry}/meals/versions/{old}")
    (name,) = (n for n in storage.entries("") if n.endswith("model.safetensors"))
    content = storage.read(name)
    assert content is not None
    storage.write(name, content.data[:-1] + bytes([content.data[-1] ^ 1]))
    with pytest.raises(StorageError, match=r"model\.safetensors does not match the manifest"):
        tasks.roll_back("", "slow", "eve")
    assert tasks.read().champion == new
    storage.write(name, content.data)
    assert tasks.roll_back("", "slow", "eve").version == old
