"""Models in a bucket: copied there, checked by the first stage, fetched once on a machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy
from tiny_models import tiny_gpt2

from daftt_core.cli.app import main
from daftt_core.config import Config
from daftt_core.errors import ModelError
from daftt_core.modeling import find_model, load_causal_lm
from daftt_core.modeling.finding import model_digest
from daftt_core.planning.shapes import find_model_config
from daftt_core.preflight import preflight
from daftt_core.storage import models, open_storage
from daftt_core.storage.models import find_remote_model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    find_remote_model.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    folder = tiny_gpt2(tmp_path / "teacher", ["a film that works", "a film that does not"])
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_own.py").write_text("raise SystemExit")
    return folder


def put(folder: Path, uri: str, *names: str) -> None:
    storage = open_storage(uri)
    for name in names:
        storage.write(name, (folder / name).read_bytes())


def test_a_model_is_copied_once_and_loads_from_there(
    bucket: str, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"{bucket}/models/teacher"
    assert main(["models", "copy", str(teacher), uri]) == 0
    assert f"{uri}: copied" in capsys.readouterr().out
    assert main(["models", "copy", str(teacher), uri]) == 0
    assert "is there already" in capsys.readouterr().out
    found = find_model(uri)
    assert {path.name for path in found.iterdir()} == {
        "config.json",
        "generation_config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    (fetched, _), (given, _) = load_causal_lm(uri), load_causal_lm(teacher)
    assert fetched.num_parameters() == given.num_parameters()
    assert find_model_config(uri) == find_model_config(str(teacher))


def test_a_plain_folder_is_fetched_once_and_has_another_digest_when_it_changes(
    bucket: str, teacher: Path, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{bucket}/plain"
    put(teacher, uri, *(path.name for path in teacher.iterdir()))
    folder, before = find_model(uri), model_digest(uri)
    assert not (folder / "pytorch_model.bin").exists()
    find_remote_model.cache_clear()
    monkeypatch.setattr(models.RemoteModel, "download", lambda *_: pytest.fail("fetched again"))
    assert find_model(uri) == folder
    (teacher / "config.json").write_text((teacher / "config.json").read_text() + " ")
    put(teacher, uri, "config.json")
    find_remote_model.cache_clear()
    assert model_digest(uri) != before


def test_a_fetched_model_that_was_damaged_is_fetched_again(bucket: str, teacher: Path) -> None:
    uri = f"{bucket}/models/teacher"
    assert main(["models", "copy", str(teacher), uri]) == 0
    weights = find_model(uri) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    assert (find_model(uri) / "model.safetensors").read_bytes() == whole


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "has no weights"),
        ("tokenizer.json", "has no tokenizer"),
        ("", "there is no model in it"),
    ],
)
@pytest.mark.parametrize("setting", ["teacher", "student"])
def test_the_first_stage_says_what_a_model_lacks(
    bucket: str, teacher: Path, tmp_path: Path, setting: str, absent: str, said: str
) -> None:
    uri = f"{bucket}/{setting}-{absent}"
    names = [path.name for path in teacher.iterdir() if path.name != absent] if absent else []
    put(teacher, uri, *names)
    config = Config.model_validate(
        {"run": {"output": str(tmp_path / "runs")}, setting: {"model": uri}}
    )
    with pytest.raises(ModelError, match=f"^{setting}_model: {uri}: {said}"):
        preflight(config)


def test_a_folder_that_is_no_model_is_not_copied(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["models", "copy", str(tmp_path / "empty"), f"{bucket}/x"]) == 4
    assert "has no config.json" in capsys.readouterr().err
    assert open_storage(bucket).entries("") == {}
