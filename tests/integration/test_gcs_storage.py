"""Storage against a real server, with a network in between that fails in every known way."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest
from faulty_proxy import (
    DAMAGED,
    DRIBBLING,
    LOST,
    RESET,
    RESET_IN_BODY,
    TRUNCATED,
    WRONG_CHECKSUM,
    Answer,
    Fault,
    FaultyProxy,
    Instead,
    Plan,
    Request,
    Slow,
)

from daftt_core.errors import BusyError, StorageError
from daftt_core.storage import (
    NOTHING,
    SCHEMES,
    Cache,
    Manifest,
    RemoteFolder,
    Storage,
    commit,
    open_storage,
)
from daftt_core.storage.gcs import GcsStorage
from daftt_core.storage.gcs_client import Patience

_PATIENCE = Patience(
    first_pause_seconds=0.02, longest_pause_seconds=0.2, deadline_seconds=60, request_seconds=5
)
_PART_BYTES = 300_000


@pytest.fixture
def storage(bucket: str) -> GcsStorage:
    return gcs(f"{bucket}/runs/one")


def gcs(uri: str) -> GcsStorage:
    return GcsStorage(uri, patience=_PATIENCE, part_bytes=_PART_BYTES, workers=4)


@dataclass
class Sometimes:
    """A plan: each request that counts meets the fault until it has struck ``times``."""

    fault: Fault
    counts: Callable[[Request], bool]
    times: int = 2

    def __call__(self, request: Request) -> Fault:
        if self.times > 0 and self.counts(request):
            self.times -= 1
            return self.fault
        return None


def filled(folder: Path, sizes: dict[str, int], seed: int = 1) -> Manifest:
    content = random.Random(seed)
    for name, size in sizes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.randbytes(size))
    return commit(folder, f"key {seed}")


_SIZES = {"a.txt": 5, "deep/b c#ü?.bin": 70_000, "empty": 0, "large.bin": 5 * _PART_BYTES + 7}


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture(params=sorted(SCHEMES))
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A storage of each scheme of the registry; a new scheme needs one line here."""
    places: dict[str, Callable[[], str]] = {
        "file": lambda: f"file://{tmp_path}/storage",
        "gs": lambda: f"{request.getfixturevalue('bucket')}/runs/one",
        "s3": lambda: f"{request.getfixturevalue('s3_bucket')}/runs/one",
    }
    return open_storage(places[request.param]())


def test_every_storage_keeps_small_objects(any_storage: Storage) -> None:
    assert any_storage.read("a/b") is None
    any_storage.write("a/b", b"one", replaces=NOTHING)
    first = any_storage.read("a/b")
    assert first is not None
    assert first.data == b"one"
    with pytest.raises(BusyError, match="a/b: was written by another process"):
        any_storage.write("a/b", b"two", replaces=NOTHING)
    any_storage.write("a/b", b"two", replaces=first.version)
    with pytest.raises(BusyError, match="a/b: was written by another process"):
        any_storage.write("a/b", b"three", replaces=first.version)
    any_storage.write("a/c", b"", replaces=None)
    assert {name: entry.size for name, entry in any_storage.entries("a/").items()} == {
        "a/b": 3,
        "a/c": 0,
    }
    any_storage.delete(["a/b", "a/none"])
    assert list(any_storage.entries("")) == ["a/c"]
    any_storage.check_writable()
    assert list(any_storage.entries("")) == ["a/c"], "the check leaves nothing"


def test_every_storage_keeps_folders(any_storage: Storage, tmp_path: Path) -> None:
    manifest = filled(tmp_path / "made", _SIZES)
    folder = RemoteFolder(any_storage, "students/real")
    assert folder.manifest() is None
    folder.commit(tmp_path / "made", manifest, replaces=folder.version())
    assert folder.manifest() == manifest
    assert folder.is_whole(manifest)
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert content_of(found) == content_of(tmp_path / "made")


def test_every_storage_lets_one_of_sixteen_commit(any_storage: Storage, tmp_path: Path) -> None:
    manifests = [filled(tmp_path / f"made-{n}", {"a": 100 + n, "b": 9}, seed=n) for n in range(16)]
    start = threading.Barrier(16)
    told: list[str] = []

    def race(number: int) -> bool:
        folder = RemoteFolder(open_storage(any_storage.uri), "teacher")
        version = folder.version()
        start.wait()
        try:
            folder.commit(tmp_path / f"made-{number}", manifests[number], replaces=version)
        except BusyError as error:
            told.append(str(error))
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(race, range(16)))
    assert won.count(True) == 1
    assert len([words for words in told if "was committed by another process" in words]) == 15
    winner = RemoteFolder(any_storage, "teacher")
    manifest = winner.manifest()
    assert manifest == manifests[won.index(True)]
    found = winner.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert content_of(found) == content_of(tmp_path / f"made-{won.index(True)}")


def test_every_storage_refuses_what_does_not_match(any_storage: Storage, tmp_path: Path) -> None:
    manifest = filled(tmp_path / "made", {"a.txt": 5, "b.txt": 6})
    folder = RemoteFolder(any_storage, "data")
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    any_storage.write(f"data/{manifest.digest}/b.txt", b"other!")
    with pytest.raises(StorageError, match=r"b\.txt: does not match the manifest .*data/manifest"):
        folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    any_storage.delete([f"data/{manifest.digest}/b.txt"])
    assert not folder.is_whole(manifest)
    with pytest.raises(StorageError, match=r"b\.txt: (is missing|there is no such)"):
        folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    any_storage.write("data/manifest.json", b"{")
    with pytest.raises(StorageError, match=r"data/manifest\.json: is damaged"):
        folder.manifest()


def test_no_name_leads_out_of_the_folder(storage: GcsStorage, tmp_path: Path) -> None:
    manifest = filled(tmp_path / "made", {"a": 1})
    bad = manifest.files[0].model_copy(update={"name": "../../outside"})
    with pytest.raises(StorageError, match="outside its folder"):
        RemoteFolder(storage, "data").fetch(
            manifest.model_copy(update={"files": (bad,)}), Cache(tmp_path / "cache", 10**9)
        )


def is_content(request: Request) -> bool:
    return request.is_media and "manifest.json" not in request.path


def is_upload(request: Request) -> bool:
    return request.method in ("POST", "PUT") and "/upload/" in request.path


@pytest.mark.parametrize(
    "fault",
    [Answer(503), Answer(429, {"Retry-After": "0"}), RESET, LOST, Slow(0.3)],
    ids=["503", "429", "reset", "answer lost", "slow"],
)
@pytest.mark.parametrize("counts", [is_upload, lambda request: True], ids=["uploads", "anything"])
def test_sending_survives(
    proxy: FaultyProxy, storage: GcsStorage, tmp_path: Path, fault: Fault, counts: Any
) -> None:
    manifest = filled(tmp_path / "made", _SIZES)
    folder = RemoteFolder(storage, "data")
    proxy.plan = Sometimes(fault, counts, times=3)
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert len(proxy.faults) == 3
    proxy.forget()
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert content_of(found) == content_of(tmp_path / "made")
    assert not [name for name in storage.entries("") if ".parts" in name]


# LOST is not among them: this server, unlike Google's, breaks when asked about a finished upload.
@pytest.mark.parametrize("fault", [Answer(503), RESET], ids=["503", "reset"])
def test_sending_a_file_in_one_resumable_stream_survives(
    proxy: FaultyProxy, bucket: str, tmp_path: Path, fault: Fault
) -> None:
    storage = GcsStorage(f"{bucket}/runs/one", patience=_PATIENCE)
    manifest = filled(tmp_path / "made", {"weights.bin": 9_000_000})
    proxy.plan = Sometimes(fault, lambda request: request.method == "PUT")
    RemoteFolder(storage, "data").commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert len(proxy.faults) == 2
    found = RemoteFolder(storage, "data").fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert content_of(found) == content_of(tmp_path / "made")


@pytest.mark.parametrize(
    "fault",
    [
        Answer(503),
        Answer(429, {"Retry-After": "0"}),
        RESET,
        RESET_IN_BODY,
        TRUNCATED,
        DAMAGED,
        WRONG_CHECKSUM,
        Slow(0.3),
    ],
    ids=["503", "429", "reset", "reset in body", "truncated", "damaged", "checksum", "slow"],
)
def test_fetching_survives(
    proxy: FaultyProxy, storage: GcsStorage, tmp_path: Path, fault: Fault
) -> None:
    manifest = filled(tmp_path / "made", _SIZES)
    folder = RemoteFolder(storage, "data")
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    proxy.forget()
    proxy.plan = Sometimes(fault, is_content, times=4)
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert len(proxy.faults) == 4
    assert content_of(found) == content_of(tmp_path / "made")


def test_a_server_that_asks_to_wait_is_given_the_time(
    proxy: FaultyProxy, storage: GcsStorage
) -> None:
    times: list[float] = []

    def plan(request: Request) -> Fault:
        if not is_upload(request):
            return None
        times.append(time.monotonic())
        return Answer(429, {"Retry-After": "1"}) if len(times) == 1 else None

    proxy.plan = plan
    storage.write("a", b"a")
    assert times[1] - times[0] >= 1.0


def test_after_the_deadline_the_object_and_the_reason_are_named(
    proxy: FaultyProxy, bucket: str
) -> None:
    patience = Patience(
        first_pause_seconds=0.02, longest_pause_seconds=0.1, deadline_seconds=0.5, request_seconds=5
    )
    storage = GcsStorage(f"{bucket}/runs", patience=patience)
    proxy.plan = lambda request: Answer(503, message="the server is tired")
    with pytest.raises(StorageError, match=r"/runs/a: still fails after many.*503.*is tired"):
        storage.write("a", b"a")


def test_content_that_always_arrives_damaged_is_named(
    proxy: FaultyProxy, storage: GcsStorage, tmp_path: Path
) -> None:
    manifest = filled(tmp_path / "made", {"a.txt": 50})
    folder = RemoteFolder(storage, "data")
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    proxy.plan = lambda request: DAMAGED if is_content(request) else None
    with pytest.raises(StorageError, match=r"/a\.txt: does not have the checksum"):
        folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert not (tmp_path / "cache" / manifest.digest).exists()


@pytest.mark.parametrize("fault", [DAMAGED, WRONG_CHECKSUM], ids=["damaged", "checksum"])
def test_reading_a_small_object_survives(
    proxy: FaultyProxy, storage: GcsStorage, fault: Fault
) -> None:
    storage.write("a.json", b"a little")
    proxy.plan = Sometimes(fault, lambda request: request.is_media)
    content = storage.read("a.json")
    assert content is not None
    assert content.data == b"a little"
    assert len(proxy.faults) == 2
    proxy.plan = Sometimes(fault, lambda request: request.is_media, times=100)
    with pytest.raises(StorageError, match=r"/a\.json: does not have the checksum"):
        storage.read("a.json")


_GARBLED = {
    "damaged": DAMAGED,
    "no JSON": Instead(b"<html>a page to log in</html>"),
    "not UTF-8": Instead(b'{"name": "\xff"}'),
    "a list": Instead(b"[]"),
    "null": Instead(b"null"),
    "deep": Instead(b"[" * 100_000),
    "an error that is a list": Instead(b"[]", 503),
    "an error of another form": Instead(b'{"error": "busy"}', 503),
    "an error with other details": Instead(b'{"error": {"message": "m", "details": [1]}}', 503),
    "a deep error": Instead(b"[" * 100_000, 503),
}


@pytest.mark.parametrize("fault", _GARBLED.values(), ids=_GARBLED.keys())
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_garbled_json_answer_is_asked_for_again(
    proxy: FaultyProxy, storage: GcsStorage, tmp_path: Path, fault: Fault, method: str
) -> None:
    manifest = filled(tmp_path / "made", _SIZES)
    folder = RemoteFolder(storage, "data")
    proxy.plan = Sometimes(fault, lambda each: each.method == method and not each.is_media, times=4)
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert folder.is_whole(manifest)
    assert storage.folders() == ["data"]
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert len(proxy.faults) == 4
    assert content_of(found) == content_of(tmp_path / "made")


@pytest.mark.parametrize(
    "fault",
    [LOST, DAMAGED, Instead(b"{}", 503), Instead(b"{}", 400), Instead(b"{}", 403)],
    ids=["lost", "damaged", "503", "400", "403"],
)
@pytest.mark.parametrize("replaces", [NOTHING, None], ids=["new", "whatever"])
def test_a_write_that_is_reported_as_failed_and_was_done_is_recognised(
    proxy: FaultyProxy, storage: GcsStorage, fault: Fault, replaces: str | None
) -> None:
    proxy.plan = Sometimes(fault, is_upload, times=1)
    storage.write("a", b"mine", replaces=replaces)
    assert len(proxy.faults) == 1
    content = storage.read("a")
    assert content is not None
    assert content.data == b"mine"
    with pytest.raises(BusyError, match="was written by another process"):
        storage.write("a", b"mine", replaces=NOTHING)


def test_a_server_that_dribbles_is_given_up(proxy: FaultyProxy, bucket: str) -> None:
    """It would send a byte now and then for ever; then this test would not end."""
    patience = Patience(
        first_pause_seconds=0.02, longest_pause_seconds=0.1, deadline_seconds=0.5, request_seconds=5
    )
    storage = GcsStorage(f"{bucket}/runs", patience=patience)
    storage.write("a", b"a")
    proxy.plan = lambda request: DRIBBLING
    for work in (lambda: storage.read("a"), lambda: storage.entries("")):
        with pytest.raises(StorageError, match="not answered in full after"):
            work()


def test_no_redirect_is_followed(proxy: FaultyProxy, storage: GcsStorage) -> None:
    elsewhere = {"Location": f"{proxy.url}/elsewhere"}
    proxy.plan = lambda request: Answer(307, elsewhere)
    with pytest.raises(StorageError, match="HTTP 307"):
        storage.read("a")
    assert not [request for request in proxy.requests if "elsewhere" in request.path]


def overwrite(proxy: FaultyProxy, uri: str, path: Path) -> None:
    """Replace an object, not by way of the proxy."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    query = urlencode({"uploadType": "media", "name": name})
    url = f"{proxy.upstream}/upload/storage/v1/b/{bucket}/o?{query}"
    urlopen(HttpRequest(url, path.read_bytes(), method="POST"), timeout=30).close()


@pytest.mark.parametrize("size", [50, 13 * _PART_BYTES], ids=["whole", "in ranges"])
def test_an_object_that_is_replaced_while_it_is_read_is_said_to_be(
    proxy: FaultyProxy, storage: GcsStorage, tmp_path: Path, size: int
) -> None:
    manifest = filled(tmp_path / "made", {"one.bin": size})
    filled(tmp_path / "other", {"one.bin": size}, seed=2)
    folder = RemoteFolder(storage, "data")
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    prefix = f"data/{manifest.digest}/"
    media = []

    def replaced(request: Request) -> Fault:
        media.extend([request] if request.is_media else [])
        if request.is_media and len(media) == 1:
            overwrite(proxy, f"{storage.uri}/{prefix}one.bin", tmp_path / "other" / "one.bin")
        return None

    proxy.plan = replaced
    with pytest.raises(StorageError, match=r"one\.bin: was replaced or removed while it was read"):
        folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert len(media) <= 8
    assert not (tmp_path / "cache" / manifest.digest).exists()


def is_write(request: Request) -> bool:
    return request.method != "GET"


_DENIED = Answer(403, message="the caller does not have storage.objects access")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda request: _DENIED if is_write(request) else None, "is read-only for this process"),
        (lambda request: _DENIED, "belongs to another project"),
        (
            lambda request: _DENIED if request.method == "DELETE" else None,
            "may be written but not deleted from",
        ),
        (lambda request: Answer(401), "credentials found here were refused"),
    ],
    ids=["read-only", "of others", "no deleting", "refused"],
)
def test_what_may_not_be_used_is_told_apart(
    proxy: FaultyProxy, storage: GcsStorage, plan: Plan, words: str
) -> None:
    proxy.plan = plan
    with pytest.raises(StorageError, match=words):
        storage.check_writable()


@pytest.mark.parametrize("use", ["read", "check_writable", "entries"])
def test_a_bucket_that_is_not_there_is_named(bucket: str, use: str) -> None:
    storage = gcs(f"{bucket}-other/runs")
    arguments = [] if use == "check_writable" else ["a"]
    with pytest.raises(StorageError, match=rf"{bucket}-other: there is no such bucket"):
        getattr(storage, use)(*arguments)


def test_no_credentials_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(StorageError, match=r"^gs://b: there are no Google Cloud credentials here"):
        open_storage("gs://b/runs").check_writable()


def test_a_uri_must_name_a_bucket_and_a_known_scheme() -> None:
    with pytest.raises(StorageError, match="names no bucket"):
        open_storage("gs:///runs")
    with pytest.raises(StorageError, match=r"'gcs' is not known .*did you mean 'gs'"):
        open_storage("gcs://bucket/runs")


def test_what_is_there_is_not_sent_or_fetched_again(
    proxy: FaultyProxy, storage: GcsStorage, tmp_path: Path
) -> None:
    manifest = filled(tmp_path / "made", _SIZES)
    folder = RemoteFolder(storage, "data")
    proxy.plan = lambda request: (
        Answer(400) if b"data/manifest.json" in request.body_start else None
    )
    with pytest.raises(StorageError):
        folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert folder_is_absent(proxy, folder)
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert len([request for request in proxy.requests if is_upload(request)]) == 1
    cache = Cache(tmp_path / "cache", 10**9)
    folder.fetch(manifest, cache)
    proxy.forget()
    folder.fetch(manifest, cache)
    assert not proxy.requests


def folder_is_absent(proxy: FaultyProxy, folder: RemoteFolder) -> bool:
    proxy.forget()
    absent = folder.manifest() is None
    proxy.forget()
    return absent


def test_parts_and_ranges_of_a_large_file_outlive_a_kill(
    proxy: FaultyProxy, storage: GcsStorage, tmp_path: Path
) -> None:
    manifest = filled(tmp_path / "made", {"large.bin": 9 * _PART_BYTES})
    folder = RemoteFolder(storage, "teacher")
    proxy.plan = lambda request: Answer(400) if "compose" in request.path else None
    with pytest.raises(StorageError):
        folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    proxy.forget()
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert len([request for request in proxy.requests if is_upload(request)]) == 1  # the manifest

    proxy.forget()
    media = []

    def broken(request: Request) -> Fault:
        media.extend([request] if is_content(request) else [])
        return Answer(400) if is_content(request) and len(media) > 6 else None

    proxy.plan = broken
    with pytest.raises(StorageError, match=r"large\.bin"):
        folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert not (tmp_path / "cache" / manifest.digest).exists(), "nothing half-visible"
    proxy.forget()
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert len([request for request in proxy.requests if is_content(request)]) == 3
    assert content_of(found) == content_of(tmp_path / "made")


def test_a_download_that_cannot_go_on_ends_whatever_is_still_to_do(
    proxy: FaultyProxy, bucket: str, tmp_path: Path
) -> None:
    where, content = f"{bucket}/runs/one", {"large.bin": 9 * _PART_BYTES}
    one_by_one = GcsStorage(where, patience=_PATIENCE, part_bytes=_PART_BYTES, workers=1)
    manifest = filled(tmp_path / "made", content)
    folder = RemoteFolder(one_by_one, "teacher")
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    proxy.plan = lambda request: Answer(400) if is_content(request) else None
    with pytest.raises(StorageError, match=r"large\.bin"):
        folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))


@pytest.mark.slow
def test_thousands_of_requests_lose_nothing_and_show_nothing_half(
    proxy: FaultyProxy, storage: GcsStorage, tmp_path: Path
) -> None:
    dice = random.Random(7)
    faults = [Answer(503), Answer(500), Answer(429, {"Retry-After": "0"}), RESET, Slow(0.02)]
    answers = [*faults, RESET_IN_BODY, TRUNCATED, DAMAGED, WRONG_CHECKSUM]

    def plan(request: Request) -> Fault:
        if dice.random() < 0.1:
            return dice.choice(answers if is_content(request) else [*faults, LOST])
        return None

    proxy.plan = plan
    sizes = {f"part-{n // 100}/{n}.txt": n % 97 for n in range(1500)} | {"large": 2_000_000}
    folder = RemoteFolder(storage, "data")
    manifest = filled(tmp_path / "made", sizes)
    done = threading.Event()
    seen: list[Manifest] = []

    def read_meanwhile() -> None:
        while not done.is_set():
            found = folder.manifest()
            if found is not None:
                assert folder.is_whole(found)
                seen.append(found)
            done.wait(0.2)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read_meanwhile)
        try:
            folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
            found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
        finally:
            done.set()
        reader.result()
    assert all(other == manifest for other in seen)
    assert content_of(found) == content_of(tmp_path / "made")
    assert len(proxy.requests) > 3000
    assert len(proxy.faults) > 200
