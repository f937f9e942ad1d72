"""How fast folders go to a bucket and back, against the plain client in a loop and the loopback.

    python benchmarks/storage.py
    python benchmarks/storage.py --files 200 --megabytes 64 --latency 0.02

Many small files and one large file are stored and fetched with DAFTT's storage (verified, atomic,
resumable) and with ``google-cloud-storage`` file by file; a server out of a Python package stands
for Google's. For the large file the loopback's own speed, a plain socket, is the limit. ``latency``
(seconds before each answer, by the proxy of the tests) stands for the way to a real bucket; at 0
the server and the client share one machine and there is little to win by doing things at once.
Times of the network of a cluster cannot be had here: read the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faulty_proxy import FaultyProxy, Slow
from gcs_server import gcs_server, make_bucket
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from daftt_core.storage import NOTHING, Cache, Manifest, RemoteFolder, commit
from daftt_core.storage.gcs import GcsStorage


def main() -> None:
    """Measure and print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200, help="small files of 4 kB")
    parser.add_argument("--megabytes", type=int, default=128, help="size of the large file")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds before each answer")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), arguments.files, arguments.megabytes, arguments.latency)


def _measure(folder: Path, files: int, megabytes: int, latency: float) -> None:
    proxy = FaultyProxy()
    with gcs_server(folder / "server", proxy.url) as url, proxy.running():
        proxy.upstream = url
        make_bucket(url, "benchmark")
        print(f"one TCP stream on the loopback: {_loopback(megabytes):.0f} MB/s")
        small = _filled(folder / "small", {f"{n}.txt": 4096 for n in range(files)})
        large = _filled(folder / "large", {"large.bin": megabytes * 10**6})
        if latency:
            proxy.plan = lambda _: Slow(latency)
        small_at = proxy.url if latency else url
        _compare(f"{files} files of 4 kB, {latency:g} s to the server", folder / "small", small,
                 small_at)  # fmt: skip
        _compare(f"one file of {megabytes} MB", folder / "large", large, url)


def _filled(folder: Path, sizes: dict[str, int]) -> Manifest:
    folder.mkdir()
    for name, size in sizes.items():
        (folder / name).write_bytes(random.Random(name).randbytes(size))
    return commit(folder, folder.name)


def _compare(what: str, folder: Path, manifest: Manifest, url: str) -> None:
    os.environ["STORAGE_EMULATOR_HOST"] = url
    bytes_in_all = sum(file.size for file in manifest.files)
    remote = RemoteFolder(GcsStorage("gs://benchmark/ours"), folder.name)
    bucket = Client(credentials=AnonymousCredentials(), project="benchmark").bucket("benchmark")
    back = folder.parent / f"{folder.name}-back"
    back.mkdir()

    def upload() -> None:
        for file in manifest.files:
            bucket.blob(f"plain/{file.name}").upload_from_filename(folder / file.name)

    def download() -> None:
        for file in manifest.files:
            bucket.blob(f"plain/{file.name}").download_to_filename(back / file.name)

    cache = Cache(folder.parent / "cache", 10**12)
    cases: list[tuple[str, Callable[[], object], Callable[[], None]]] = [
        ("store", lambda: remote.commit(folder, manifest, NOTHING), upload),
        ("fetch", lambda: remote.fetch(manifest, cache), download),
    ]
    for case, ours, plain in cases:
        plain_seconds, our_seconds = _seconds(plain), _seconds(ours)
        print(
            f"{what}, {case}: {our_seconds:.2f} s ({bytes_in_all / our_seconds / 1e6:.0f} MB/s), "
            f"the plain client in a loop {plain_seconds:.2f} s: "
            f"{plain_seconds / our_seconds:.2f} times as fast"
        )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _loopback(megabytes: int) -> float:
    """MB a second of one TCP stream between two threads."""
    block = bytes(2**20)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send() -> None:
            with server.accept()[0] as connection:
                for _ in range(megabytes):
                    connection.sendall(block)

        threading.Thread(target=send, daemon=True).start()
        started = time.perf_counter()
        received = 0
        with socket.create_connection(server.getsockname()) as connection:
            while data := connection.recv(2**20):
                received += len(data)
    return received / 1e6 / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
