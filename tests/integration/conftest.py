"""Storage servers, a network before each of them, and buckets in them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from faulty_proxy import FaultyProxy
from gcs_server import gcs_server, make_bucket
from s3_server import keys, raw_client, s3_server


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyProxy]:
    """The network between the tests and the storage server."""
    proxy = FaultyProxy()
    with gcs_server(tmp_path_factory.mktemp("server"), proxy.url) as url:
        proxy.upstream = url
        with proxy.running():
            yield proxy


@pytest.fixture
def bucket(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    """A bucket of the test's own, on a network without faults yet."""
    proxy.forget()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    name = f"bucket-{abs(hash(request.node.nodeid))}"
    make_bucket(proxy.upstream, name)
    return f"gs://{name}"


@pytest.fixture(scope="session")
def s3_proxy() -> Iterator[FaultyProxy]:
    """The network between the tests and the S3 server."""
    proxy = FaultyProxy()
    with s3_server() as url:
        proxy.upstream = url
        with proxy.running():
            yield proxy


@pytest.fixture
def s3_bucket(s3_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own, on a network without faults yet."""
    s3_proxy.forget()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**keys(), "AWS_ENDPOINT_URL_S3": s3_proxy.url}.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid.uuid4().hex}"
    raw_client(s3_proxy.upstream).create_bucket(Bucket=name)
    return f"s3://{name}"
