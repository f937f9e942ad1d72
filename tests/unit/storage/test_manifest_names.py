"""Only what a manifest lists is read, copied or served, and nothing that it lists leads out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from daftt_core.errors import StorageError
from daftt_core.records import write_text
from daftt_core.storage import (
    NOTHING,
    Cache,
    Content,
    Entry,
    RemoteFolder,
    commit,
    copy_file,
    open_storage,
    parse_manifest,
    read_manifest,
    sound_manifest,
    verify,
)
from daftt_core.tasks import load_task
from daftt_core.workspace import Run, read_file, read_stage, run_stage
from daftt_core.workspace.progress_store import ProgressStore

BAD_NAMES = [
    *("../a", "a/../../b", "seed-0/../../champion.json", "..", ".", "", "/etc/passwd", "a//b"),
    *("a/", "./a", ".key", "a/.hidden", "manifest.json", "a\0b", "a\nb", "a\ud800"),
]


def listing(name: str) -> str:
    """A manifest that lists a file of this name."""
    entry = {"name": name, "size": 1, "sha256": "0" * 64}
    return json.dumps({"key": "k", "files": [entry]})


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_manifest_that_lists_such_a_name_is_void_wherever_it_lies(
    tmp_path: Path, name: str
) -> None:
    write_text(tmp_path / "made" / "manifest.json", listing(name))
    remote = RemoteFolder(open_storage(str(tmp_path)), "made")
    for read in (lambda: read_manifest(tmp_path / "made"), remote.manifest):
        with pytest.raises(StorageError) as caught:
            read()
        assert "manifest.json: " in str(caught.value)
        assert str(caught.value).isprintable()
    with pytest.raises(StorageError):
        parse_manifest(listing(name).encode(), "there", "is damaged")


def test_the_message_says_what_is_listed(tmp_path: Path) -> None:
    write_text(tmp_path / "manifest.json", listing("seed-0/../../champion.json"))
    with pytest.raises(
        StorageError,
        match=r"/manifest\.json: lists 'seed-0/\.\./\.\./champion\.json', outside its folder or",
    ):
        read_manifest(tmp_path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_of_a_summary_are_finite(tmp_path: Path, number: float) -> None:
    with pytest.raises(StorageError, match="the summary holds a number that is NaN or infinite"):
        commit(tmp_path, "key", {"deep": [{"dev_loss": number}]})
    assert read_manifest(tmp_path) is None
    text = json.dumps({"key": "k", "files": [], "summary": {"dev_scores": [0.5, number]}})
    write_text(tmp_path / "manifest.json", text)
    with pytest.raises(StorageError, match=r"manifest\.json: the summary holds a number that"):
        read_manifest(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    write_text(folder / "a.txt", "a")
    write_text(folder / "deep" / "b.txt", "b")
    commit(folder, "key")
    return folder


def link_file(folder: Path) -> None:
    """Put a link in a file's place; what it points to has the right content."""
    (folder / "deep" / "b.txt").rename(folder.parent / "b.txt")
    (folder / "deep" / "b.txt").symlink_to(folder.parent / "b.txt")


def link_folder(folder: Path) -> None:
    (folder / "deep").rename(folder.parent / "deep")
    (folder / "deep").symlink_to(folder.parent / "deep")


@pytest.mark.parametrize("link", [link_file, link_folder])
def test_links_are_not_followed(folder: Path, tmp_path: Path, link: Any) -> None:
    link(folder)
    manifest = read_manifest(folder)
    assert manifest is not None
    said = r"deep/b\.txt: is a link or lies behind one, and links are not followed"
    with pytest.raises(StorageError, match=said):
        verify(folder, manifest)
    with pytest.raises(StorageError, match=said):
        copy_file(folder, manifest.files[1], tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert sound_manifest(folder, "making it again") is None


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_manifest_is_a_plain_file(folder: Path, tmp_path: Path, kind: str) -> None:
    path = folder / "manifest.json"
    path.rename(tmp_path / "manifest.json")
    make = {
        "link": lambda: path.symlink_to(tmp_path / "manifest.json"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    make[kind]()
    with pytest.raises(StorageError, match=r"manifest\.json: is not a plain file; remove it"):
        read_manifest(folder)


def test_the_folder_itself_may_be_reached_by_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(folder)
    assert sound_manifest(tmp_path / "other", "making it again") is not None


def test_links_and_pipes_are_no_part_of_what_is_committed(folder: Path) -> None:
    (folder / "secret").symlink_to("/etc/hostname")
    (folder / "etc").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    assert [file.name for file in commit(folder, "key").files] == ["a.txt", "deep/b.txt"]


def test_a_copy_is_checked_while_it_is_made(folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest is not None
    (tmp_path / "outside").write_text("stays")
    (tmp_path / "copy").symlink_to(tmp_path / "outside")
    copy_file(folder, manifest.files[0], tmp_path / "copy")
    assert not (tmp_path / "copy").is_symlink()
    assert (tmp_path / "copy").read_text() == "a"
    assert (tmp_path / "outside").read_text() == "stays"
    (folder / "a.txt").write_text("x")
    with pytest.raises(StorageError, match=r"a\.txt: does not match the manifest"):
        copy_file(folder, manifest.files[0], tmp_path / "other")
    assert not (tmp_path / "other").exists()


EXTRAS = ["evil.py", "pytorch_model.bin", "deep/adapter_config.json", "link"]


def put(folder: Path, extra: str) -> None:
    if extra == "link":
        (folder / extra).symlink_to("/etc")
    else:
        (folder / extra).write_text("evil")


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_folder_with_more_than_its_manifest_lists_is_not_sound(
    folder: Path, extra: str, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / ".hidden").write_text("no part of it")
    assert sound_manifest(folder, "making it again") is not None
    put(folder, extra)
    assert sound_manifest(folder, "making it again") is None
    assert f"{extra}: is not listed by the manifest beside it; making it again" in caplog.text


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_stage_is_read_without_what_its_manifest_does_not_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, extra: str
) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    run = Run(uri=str(tmp_path / "run"), seed=0, task=load_task("movie-reviews"))

    def work(folder: Path) -> dict[str, Any]:
        write_text(folder / "a.txt", "a")
        write_text(folder / "deep" / "b.txt", "b")
        return {}

    made = run_stage(run, "teacher", [], work)
    own = tmp_path / "run" / "teacher"
    assert read_stage(run, "teacher")[0] == own
    put(own, extra)
    folder, manifest = read_stage(run, "teacher", made.digest)
    assert f"{extra}: is not listed by the manifest beside it, so it is not read" in caplog.text
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {"manifest.json", *(file.name for file in manifest.files)}
    with pytest.raises(StorageError, match=f"{extra}: is missing"):
        read_file(run.uri, "teacher", extra)
    assert read_file(run.uri, "teacher", "a.txt") == b"a"
    put(folder, "evil.py")  # into the cache
    assert not (read_stage(run, "teacher")[0] / "evil.py").exists()
    # the user's file is still there, and no work is done again for it
    assert run_stage(run, "teacher", [], work).digest == made.digest
    assert os.path.lexists(own / extra)
    (own / "a.txt").write_text("x")
    with pytest.raises(StorageError, match=r"a\.txt: does not match the manifest"):
        read_file(run.uri, "teacher", "a.txt")


def test_an_attempts_other_files_do_not_come_into_the_cache(folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest is not None
    write_text(tmp_path / "cache" / f".{manifest.digest}.partial" / "evil.py", "evil")
    storage = open_storage(str(tmp_path / "bucket"))
    remote = RemoteFolder(storage, "data")
    remote.commit(folder, manifest, replaces=NOTHING)
    fetched = remote.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert sorted(path.name for path in fetched.iterdir()) == ["a.txt", "deep", "manifest.json"]
    assert remote.read(manifest, "a.txt") == b"a"
    storage.write(f"data/{manifest.digest}/a.txt", b"x")
    with pytest.raises(StorageError, match=r"a\.txt: does not match its manifest"):
        remote.read(manifest, "a.txt")
    storage.write(f"data/{manifest.digest}/evil.py", b"evil")
    with pytest.raises(StorageError, match=r"evil\.py: is missing"):
        remote.read(manifest, "evil.py")


class Hostile:
    """A storage whose objects have names that no file system would give them."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects
        self.uri = "gs://bucket/run"
        self.folder = None

    def entries(self, prefix: str) -> dict[str, Any]:
        return {
            name: Entry(len(data), 0.0)
            for name, data in self._objects.items()
            if name.startswith(prefix)
        }

    def read(self, name: str) -> Any:
        return Content(self._objects[name], "1") if name in self._objects else None

    def download(self, prefix: str, sizes: dict[str, int], folder: Path) -> None:
        for name in sizes:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(self._objects[f"{prefix}{name}"])


def test_what_is_kept_of_a_stage_does_not_lead_out_of_its_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, outside = ".progress/teacher/0123456789abcdef", tmp_path / "outside"
    parts = json.dumps({"parts": [json.loads(listing("../../outside"))]}).encode()
    objects = {
        f"{base}/files/fine.txt": b"fine",
        f"{base}/files/.usage/1.json": b"{}",
        f"{base}/files/../../outside": b"evil",
        f"{base}/files/{outside}": b"evil",
        f"{base}/folders/{outside}.json": parts,
        f"{base}/folders/seed-0.json": parts,
        f"{base}/folders/seed-1.json": b"[[[",
    }
    folder = tmp_path / "stage"
    folder.mkdir()
    assert not ProgressStore(Hostile(objects), base, "1").restore(folder)  # type: ignore[arg-type]
    there = {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert there == {"stage/fine.txt", "stage/.usage/1.json"}
    assert caplog.text.count("leads out of the stage's folder, so it is not fetched") == 3
    assert "seed-0.json: is damaged, so the folder it describes is made again" in caplog.text
    assert "seed-1.json: is damaged, so the folder it describes is made again" in caplog.text
