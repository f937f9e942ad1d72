"""A real storage server, and buckets in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faulty_proxy import FaultyProxy
from gcs_server import gcs_server, make_bucket


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
