"""An S3 server for tests: moto's, in a process of its own, or the one of DAFTT_TEST_S3_ENDPOINT.

moto keeps buckets in memory and implements what these tests rely on: conditional writes and reads,
ranges, multipart uploads, metadata, MD5 of what is sent
(docs.getmoto.org/en/latest/docs/services/s3.html). It answers one request at a time here, because
it checks a condition and writes without a lock in between. Its parts and the pages of its listings
are smaller than a store's, so that tests are quick.

A real store is named by DAFTT_TEST_S3_ENDPOINT, with its keys in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, such as SeaweedFS's, which Kubeflow Pipelines brings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.session import Session
from gcs_server import free_port

ENDPOINT = "DAFTT_TEST_S3_ENDPOINT"
IS_REAL = bool(os.environ.get(ENDPOINT))
PART_BYTES = 5 * 2**20 if IS_REAL else 300_000
"""The least that the server takes for a part that is not the last."""
PAGE = 1000 if IS_REAL else 20
"""Objects on a page of a listing."""
_LIMITS = {"S3_UPLOAD_PART_MIN_SIZE": str(PART_BYTES), "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)}
_KEYS = {
    name: os.environ[name] if IS_REAL else "tests"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
}
_MOTO = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
app = DomainDispatcherApplication(create_backend_app)
run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=False)
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """Run the server; gives its URL."""
    if url := os.environ.get(ENDPOINT):
        yield url
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_KEYS, **_LIMITS},
    )
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()


def keys() -> dict[str, str]:
    """Environment variables with which clients reach the server, all but its address."""
    return {
        **_KEYS,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def raw_client(url: str) -> Any:
    """A client past the proxy, as somebody else's program would have it."""
    return Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
    )


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return  # it answers, if only that it knows nobody
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, "the S3 server ended"
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.05)
        else:
            return
