"""What is particular to S3, against a server, with a network in between that fails."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import (
    DAMAGED,
    DRIBBLING,
    LOST,
    RESET,
    RESET_IN_BODY,
    TRUNCATED,
    Answer,
    Fault,
    FaultyProxy,
    Instead,
    Plan,
    Request,
    Slow,
)
from registry_runs import finished_run, promoted
from s3_server import PAGE, PART_BYTES, raw_client
from test_gcs_storage import Sometimes, content_of, filled

from daftt_core.errors import BusyError, ModelError, StorageError
from daftt_core.registry import TaskRegistry, read_decision
from daftt_core.registry.serving import servable_version
from daftt_core.storage import NOTHING, Cache, RemoteFolder, open_storage
from daftt_core.storage.models import fetch_model, find_remote_model, store_model
from daftt_core.storage.s3 import S3Storage
from daftt_core.storage.s3_client import Patience
from daftt_core.workspace import run_statuses

_PATIENCE = Patience(
    first_pause_seconds=0.02, longest_pause_seconds=0.2, deadline_seconds=60, request_seconds=20
)
_SIZES = {"a.txt": 5, "deep/b c#ü?.bin": 70_000, "empty": 0, "large.bin": 4 * PART_BYTES + 7}
_DENIED = Instead(b"<Error><Code>AccessDenied</Code><Message>not yours</Message></Error>", 403)


@pytest.fixture
def storage(s3_bucket: str) -> S3Storage:
    return s3(f"{s3_bucket}/runs/one")


def s3(uri: str, workers: int = 4) -> S3Storage:
    return S3Storage(uri, patience=_PATIENCE, part_bytes=PART_BYTES, workers=workers)


def is_content(request: Request) -> bool:
    return request.method == "GET" and "?" not in request.path and "manifest" not in request.path


def is_stored(request: Request) -> bool:
    return request.method == "PUT"


def key_of(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


@pytest.mark.parametrize(
    "fault",
    [Answer(503), Answer(429, {"Retry-After": "0"}), RESET, LOST, Slow(0.3)],
    ids=["503", "429", "reset", "answer lost", "slow"],
)
@pytest.mark.parametrize("counts", [is_stored, lambda request: True], ids=["puts", "anything"])
def test_sending_survives(
    s3_proxy: FaultyProxy, storage: S3Storage, tmp_path: Path, fault: Fault, counts: Any
) -> None:
    manifest = filled(tmp_path / "made", _SIZES)
    folder = RemoteFolder(storage, "data")
    s3_proxy.plan = Sometimes(fault, counts, times=3)
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert len(s3_proxy.faults) == 3
    s3_proxy.forget()
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert content_of(found) == content_of(tmp_path / "made")


@pytest.mark.parametrize(
    "fault",
    [Answer(503), RESET, RESET_IN_BODY, TRUNCATED, DAMAGED, Slow(0.3)],
    ids=["503", "reset", "reset in body", "truncated", "damaged", "slow"],
)
def test_fetching_survives(
    s3_proxy: FaultyProxy, storage: S3Storage, tmp_path: Path, fault: Fault
) -> None:
    manifest = filled(tmp_path / "made", _SIZES)
    folder = RemoteFolder(storage, "data")
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    s3_proxy.forget()
    s3_proxy.plan = Sometimes(fault, is_content, times=4)
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert len(s3_proxy.faults) == 4
    assert content_of(found) == content_of(tmp_path / "made")


def test_a_garbled_listing_is_asked_for_again(s3_proxy: FaultyProxy, storage: S3Storage) -> None:
    storage.write("data/a", b"a")
    s3_proxy.plan = Sometimes(
        Instead(b"<html>a page to log in"), lambda each: "list-type" in each.path
    )
    assert list(storage.entries("")) == ["data/a"]
    assert storage.folders() == ["data"]
    assert len(s3_proxy.faults) == 2


def test_after_the_deadline_the_object_and_the_reason_are_named(
    s3_proxy: FaultyProxy, s3_bucket: str
) -> None:
    patience = Patience(first_pause_seconds=0.02, deadline_seconds=0.5, request_seconds=5)
    storage = S3Storage(f"{s3_bucket}/runs", patience=patience)
    s3_proxy.plan = lambda request: Answer(503)
    with pytest.raises(StorageError, match=r"/runs/a: still fails after many attempts \(HTTP 503"):
        storage.write("a", b"a")
    s3_proxy.plan = lambda request: DRIBBLING
    with pytest.raises(StorageError, match="not answered in full after"):
        storage.read("a")


def test_content_that_always_arrives_damaged_is_named(
    s3_proxy: FaultyProxy, storage: S3Storage, tmp_path: Path
) -> None:
    manifest = filled(tmp_path / "made", {"a.txt": 50})
    folder = RemoteFolder(storage, "data")
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    s3_proxy.plan = lambda request: DAMAGED if is_content(request) else None
    with pytest.raises(StorageError, match=r"/a\.txt: does not have the checksum \(MD5\)"):
        folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert not (tmp_path / "cache" / manifest.digest).exists()


@pytest.mark.parametrize("fault", [LOST, Instead(b"", 503), _DENIED], ids=["lost", "503", "403"])
@pytest.mark.parametrize("replaces", [NOTHING, None], ids=["new", "whatever"])
def test_a_write_that_is_reported_as_failed_and_was_done_is_recognised(
    s3_proxy: FaultyProxy, storage: S3Storage, fault: Fault, replaces: str | None
) -> None:
    s3_proxy.plan = Sometimes(fault, is_stored, times=1)
    storage.write("a", b"mine", replaces=replaces)
    assert len(s3_proxy.faults) == 1
    content = storage.read("a")
    assert content is not None
    assert content.data == b"mine"
    with pytest.raises(BusyError, match="was written by another process"):
        storage.write("a", b"mine", replaces=NOTHING)
    storage.delete(["a"])
    with pytest.raises(BusyError, match="was written by another process"):
        storage.write("a", b"late", replaces=content.version)


def test_two_conditional_writes_at_the_same_moment_are_tried_again(
    s3_proxy: FaultyProxy, storage: S3Storage
) -> None:
    conflict = b"<Error><Code>ConditionalRequestConflict</Code><Message>m</Message></Error>"
    s3_proxy.plan = Sometimes(Instead(conflict, 409), is_stored, times=1)
    storage.write("a", b"mine", replaces=NOTHING)
    assert storage.read("a") is not None


def test_a_store_that_ignores_conditions_is_refused(
    s3_proxy: FaultyProxy, storage: S3Storage
) -> None:
    """As old versions of MinIO do."""

    def overwrite(request: Request) -> Fault:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if request.method != "PUT" or not {"if-match", "if-none-match"} & set(headers):
            return None
        bucket, _, key = request.path.lstrip("/").partition("/")
        raw_client(s3_proxy.upstream).put_object(Bucket=bucket, Key=key, Body=b"x")
        return Instead(b"", 200)

    writes: list[Request] = []

    def plan(request: Request) -> Fault:
        if request.method == "PUT":
            writes.append(request)
        return overwrite(request) if len(writes) > 2 else None

    s3_proxy.plan = plan
    with pytest.raises(StorageError, match=r"ignores conditions .*If-None-Match, If-Match"):
        storage.check_writable()
    s3_proxy.forget()
    assert not storage.entries("")


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (lambda request: _DENIED if request.method == "PUT" else None, "is read-only for this"),
        (lambda request: _DENIED, "this process may not use it"),
        (lambda request: _DENIED if request.method == "DELETE" else None, "not deleted from"),
        (
            lambda request: Instead(
                b"<Error><Code>InvalidAccessKeyId</Code><Message>who?</Message></Error>", 403
            ),
            r"credentials found here were refused \(HTTP 403 InvalidAccessKeyId: who\?",
        ),
    ],
    ids=["read-only", "of others", "no deleting", "refused"],
)
def test_what_may_not_be_used_is_told_apart(
    s3_proxy: FaultyProxy, storage: S3Storage, plan: Plan, words: str
) -> None:
    s3_proxy.plan = plan
    with pytest.raises(StorageError, match=words):
        storage.check_writable()


@pytest.mark.parametrize("use", ["read", "check_writable", "entries"])
def test_a_bucket_that_is_not_there_is_named(s3_bucket: str, use: str) -> None:
    storage = s3(f"{s3_bucket}-other/runs")
    arguments = [] if use == "check_writable" else ["a"]
    with pytest.raises(StorageError, match=rf"{s3_bucket}-other: there is no such bucket"):
        getattr(storage, use)(*arguments)


def test_no_credentials_is_one_sentence(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StorageError, match=r"^s3://b: there are no AWS credentials here"):
        open_storage("s3://b/runs").check_writable()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ENDPOINT_URL", "minio:9000", "AWS_ENDPOINT_URL: must begin with http://"),
        ("AWS_ENDPOINT_URL_S3", "http://169.254.169.254", "cloud's metadata service"),
        ("AWS_PROFILE", "team", r"the AWS client: .*\(team\)"),
    ],
)
def test_settings_of_the_client_that_are_wrong_are_named(
    name: str, value: str, words: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match=words):
        open_storage("s3://b/runs").read("a")


def test_a_uri_must_name_a_bucket() -> None:
    with pytest.raises(StorageError, match="names no bucket; it must be s3://bucket/prefix"):
        open_storage("s3:///runs")
    with pytest.raises(StorageError, match=r"'s3a' is not known .*did you mean 's3'"):
        open_storage("s3a://bucket/runs")


def test_a_listing_of_many_pages_is_read_to_its_end(
    s3_bucket: str, storage: S3Storage, s3_proxy: FaultyProxy
) -> None:
    client = raw_client(s3_proxy.upstream)
    for number in range(2 * PAGE + 3):
        client.put_object(Body=b"", **key_of(f"{s3_bucket}/runs/one/f/{number:04d}"))
    client.put_object(Body=b"", **key_of(f"{s3_bucket}/runs/one/f/"))  # as a console makes it
    entries = storage.entries("f/")
    assert list(entries) == [f"f/{number:04d}" for number in range(2 * PAGE + 3)]


def test_parts_and_ranges_of_a_large_file_outlive_a_kill(
    s3_proxy: FaultyProxy, storage: S3Storage, tmp_path: Path
) -> None:
    manifest = filled(tmp_path / "made", {"large.bin": 5 * PART_BYTES})
    folder = RemoteFolder(storage, "teacher")
    is_end = lambda each: each.method == "POST" and "uploadId" in each.path  # noqa: E731
    s3_proxy.plan = lambda request: Answer(400) if is_end(request) else None
    with pytest.raises(StorageError, match=r"large\.bin"):
        folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    s3_proxy.forget()
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert len([each for each in s3_proxy.requests if is_stored(each)]) == 1  # the manifest

    s3_proxy.forget()
    seen: list[Request] = []
    lock = threading.Lock()

    def broken(request: Request) -> Fault:
        with lock:
            seen.extend([request] if is_content(request) else [])
            return Answer(400) if is_content(request) and len(seen) > 3 else None

    s3_proxy.plan = broken
    with pytest.raises(StorageError, match=r"large\.bin"):
        folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert not (tmp_path / "cache" / manifest.digest).exists(), "nothing half-visible"
    s3_proxy.forget()
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert len([each for each in s3_proxy.requests if is_content(each)]) == 2
    assert content_of(found) == content_of(tmp_path / "made")


def test_an_upload_that_was_begun_for_other_content_does_no_harm(
    s3_proxy: FaultyProxy, storage: S3Storage, tmp_path: Path
) -> None:
    manifest = filled(tmp_path / "made", {"large.bin": 4 * PART_BYTES + 1})
    folder = RemoteFolder(storage, "teacher")
    client = raw_client(s3_proxy.upstream)
    client.create_multipart_upload(**key_of(f"{folder.content_uri(manifest)}/large.bin"))
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    found = folder.fetch(manifest, Cache(tmp_path / "cache", 10**9))
    assert content_of(found) == content_of(tmp_path / "made")


def test_what_is_there_is_not_sent_or_fetched_again(
    s3_proxy: FaultyProxy, storage: S3Storage, tmp_path: Path
) -> None:
    manifest = filled(tmp_path / "made", _SIZES)
    folder = RemoteFolder(storage, "data")
    folder.store(tmp_path / "made", manifest)
    s3_proxy.forget()
    folder.commit(tmp_path / "made", manifest, replaces=NOTHING)
    assert len([each for each in s3_proxy.requests if is_stored(each)]) == 1  # the manifest
    folder.download(manifest, tmp_path / "copy")
    s3_proxy.forget()
    assert not folder.download(manifest, tmp_path / "copy")
    assert not [each for each in s3_proxy.requests if is_content(each)]


def test_objects_of_others_have_no_checksum_and_are_fetched(
    s3_bucket: str, storage: S3Storage, s3_proxy: FaultyProxy, tmp_path: Path
) -> None:
    content = {"a.csv": b"text,label\n", "large.bin": b"0" * (PART_BYTES + 3)}
    client = raw_client(s3_proxy.upstream)
    for name, data in content.items():
        client.put_object(Body=data, **key_of(f"{s3_bucket}/runs/one/{name}"))
    sizes = {name: len(data) for name, data in content.items()}
    storage.download("", sizes, tmp_path)
    assert content_of(tmp_path) == content
    client.put_object(Body=b"TEXT,LABEL\n", **key_of(f"{s3_bucket}/runs/one/a.csv"))
    storage.download("", sizes, tmp_path)
    assert (tmp_path / "a.csv").read_bytes() == b"TEXT,LABEL\n"
    with pytest.raises(StorageError, match=r"none\.csv: is missing"):
        storage.download("", {"none.csv": 3}, tmp_path)


def test_an_object_that_is_replaced_while_it_is_read_is_said_to_be(
    s3_bucket: str, s3_proxy: FaultyProxy, tmp_path: Path
) -> None:
    storage, client = s3(f"{s3_bucket}/runs", workers=1), raw_client(s3_proxy.upstream)
    key, size = key_of(f"{s3_bucket}/runs/large.bin"), 3 * PART_BYTES
    client.put_object(Body=b"0" * size, **key)
    seen: list[Request] = []

    def replaced(request: Request) -> Fault:
        seen.extend([request] if is_content(request) else [])
        if len(seen) == 2 and is_content(request):
            client.put_object(Body=b"1" * size, **key)
        return None

    s3_proxy.plan = replaced
    with pytest.raises(StorageError, match=r"large\.bin: was replaced or removed while it was"):
        storage.download("", {"large.bin": size}, tmp_path)
    s3_proxy.forget()
    storage.download("", {"large.bin": size}, tmp_path)
    assert set((tmp_path / "large.bin").read_bytes()) == {ord("1")}, "nothing of the old one"


def test_a_run_is_promoted_in_a_bucket_and_served_from_it(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    run, config = finished_run(tmp_path, "first", output=f"{s3_bucket}/runs")
    assert promoted(run, config).summary["promoted"]
    version = read_decision(run).version
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "another machine"))
    assert TaskRegistry(f"{s3_bucket}/runs/registry", "meals").read().champion == version
    served = servable_version(f"{s3_bucket}/runs/registry", "meals", version)
    assert (served.model / "model.safetensors").is_file()
    assert served.uri.startswith(f"{s3_bucket}/runs/registry/meals/versions/{version}/")
    assert {status.stage for status in run_statuses(run)} >= {"evaluation", "promotion"}


def test_a_model_is_kept_in_a_bucket_and_found_there(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path / "cache"))
    files: dict[str, bytes] = {
        "config.json": b'{"model_type": "bert"}',
        "model.safetensors": b"0" * 1000,
        "tokenizer.json": b"{}",
    }
    for name, data in files.items():
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_bytes(data)
    uri = f"{s3_bucket}/models/small"
    with pytest.raises(ModelError, match=r"there is no model in it"):
        find_remote_model(uri)
    model, is_new = store_model(tmp_path / "model", uri)
    assert is_new
    assert model.config() == {"model_type": "bert"}
    assert not store_model(tmp_path / "model", uri)[1]
    folder = fetch_model(uri)
    assert {name: (folder / name).read_bytes() for name in files} == files
