"""Folders and their manifests, locks, archives, and places that cannot be written."""

from __future__ import annotations

import io
import multiprocessing
import shutil
import tarfile
import threading
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from daftt_core.errors import StorageError
from daftt_core.records import write_text
from daftt_core.storage import (
    check_writable,
    commit,
    exclusively,
    local_folder,
    read_manifest,
    verify,
)
from daftt_core.storage.assets import extract_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    write_text(folder / "b.txt", "b")
    write_text(folder / "deep" / "a.txt", "a")
    write_text(folder / ".hidden", "h")
    return folder


def test_a_folder_exists_once_it_is_committed(folder: Path) -> None:
    assert read_manifest(folder) is None
    manifest = commit(folder, "key", {"n": 2})
    assert read_manifest(folder) == manifest
    assert [entry.name for entry in manifest.files] == ["b.txt", "deep/a.txt"]
    verify(folder, manifest)


def test_a_digest_names_key_and_content(folder: Path) -> None:
    first = commit(folder, "key").digest
    assert commit(folder, "key", {"seconds": 3}).digest == first
    assert commit(folder, "another key").digest != first
    write_text(folder / "b.txt", "c")
    assert commit(folder, "key").digest != first


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: path.write_text("x"), "was changed"),
        (lambda path: path.write_text("longer"), "was changed"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_damage_is_found_and_named(folder: Path, damage: object, problem: str) -> None:
    manifest = commit(folder, "key")
    damage(folder / "deep" / "a.txt")  # type: ignore[operator]
    with pytest.raises(StorageError, match=rf"deep/a\.txt: .*{problem}"):
        verify(folder, manifest)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"key": 1}'])
def test_a_damaged_manifest_is_not_taken_for_a_missing_one(folder: Path, content: bytes) -> None:
    commit(folder, "key")
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"manifest\.json: is damaged"):
        read_manifest(folder)


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("")
    with pytest.raises(StorageError, match=r"manifest\.json: cannot be read: Not a directory"):
        read_manifest(tmp_path / "made")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_path_or_file_uri_names_a_folder() -> None:
    assert local_folder("runs/a") == Path("runs/a")
    assert local_folder("file:///runs/a") == Path("/runs/a")
    assert local_folder("~/runs") == Path.home() / "runs"
    with pytest.raises(StorageError, match="scheme 's3' is not known"):
        local_folder("s3://bucket/runs")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file/runs: cannot be written: Not a directory"):
        check_writable(tmp_path / "file" / "runs", 1)
    with pytest.raises(StorageError, match="cannot be written"):
        check_writable(Path("/proc/daftt"), 1)


def test_too_little_space_is_told_with_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**10, 10**10, 5 * 10**8))
    check_writable(tmp_path, 5 * 10**8)
    with pytest.raises(StorageError, match=r"0\.5 GB are free and the run needs 3\.0 GB"):
        check_writable(tmp_path, 3 * 10**9)


def test_what_a_run_holds_already_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**10, 10**10, 5 * 10**8))
    (tmp_path / "teacher").mkdir()
    with (tmp_path / "teacher" / "weights").open("wb") as file:
        file.truncate(2 * 10**9)
    check_writable(tmp_path, 25 * 10**8)
    with pytest.raises(StorageError, match=r"0\.5 GB are free and the run needs 1\.0 GB"):
        check_writable(tmp_path, 3 * 10**9)


def _hold(path: Path, seconds: float, ready: object) -> None:
    with exclusively(path, "held"):
        ready.set()  # type: ignore[attr-defined]
        time.sleep(seconds)


def test_one_waits_for_the_other_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "locks" / "a.lock", 1.0, ready))
    other.start()
    assert ready.wait(30)
    started = time.monotonic()
    with caplog.at_level("INFO", "daftt"), exclusively(tmp_path / "locks" / "a.lock", "stage a"):
        waited = time.monotonic() - started
    other.join()
    assert waited > 0.5
    assert "stage a: another process is working on it" in caplog.text


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "a.lock", 600.0, ready))
    other.start()
    assert ready.wait(30)
    other.kill()
    other.join()
    done = threading.Event()

    def take() -> None:
        with exclusively(tmp_path / "a.lock", "a"):
            done.set()

    threading.Thread(target=take, daemon=True).start()
    assert done.wait(10)


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match=r"file/a\.lock: cannot be locked"),
        exclusively(tmp_path / "file" / "a.lock", "a"),
    ):
        raise AssertionError("was let in without a lock")


def tar_of(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


def test_a_file_is_taken_out_of_a_zip_a_tar_and_an_archive_in_an_archive(tmp_path: Path) -> None:
    inner = tar_of({"x/data.txt": b"inner"})
    (tmp_path / "a.tar.gz").write_bytes(tar_of({"a/data.txt": b"tar", "a/inner.tgz": inner}))
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("a/data.txt", "zip")
        wheel.writestr("a/inner.tgz", inner)
    for archive, content in [("a.tar.gz", "tar"), ("a.whl", "zip")]:
        extract_file(tmp_path / archive, ["a/data.txt"], tmp_path / "new" / "one")
        assert (tmp_path / "new" / "one").read_text() == content
        extract_file(tmp_path / archive, ["a/inner.tgz", "x/data.txt"], tmp_path / "two")
        assert (tmp_path / "two").read_text() == "inner"


@pytest.mark.parametrize("name", ["a/none.txt", "link", "data.txt", "../data.txt"])
def test_only_a_plain_file_of_exactly_that_name_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar_of({"a/data.txt": b"tar"}))
    with pytest.raises(StorageError, match=rf"a\.tar\.gz: has no file {name}"):
        extract_file(tmp_path / "a.tar.gz", [name], tmp_path / "target")
    assert not (tmp_path / "target").exists()
