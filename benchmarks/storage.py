"""How fast folders go to a bucket and back, against the plain client in a loop and the loopback.

    python benchmarks/storage.py
    python benchmarks/storage.py --files 200 --megabytes 64 --rounds 5

Many small files, one large file and some large files, as a checkpoint's shards, are stored and
fetched with DAFTT's storage (verified, atomic, resumable), with ``google-cloud-storage`` file by
file, and with its ``transfer_manager`` (whole files at once, large ones down in chunks), which
resumes nothing within a file; what that fetched is checked against the manifest too. Each goes
several times in turn; the fastest of each counts. A server out of a Python package stands for
Google's, once side by side with the client, where there is little to win by doing things at once,
and once behind a slow network: each answer comes ``--latency`` seconds late, and one connection
carries ``--stream`` MB a second. The limit of the first is one TCP stream on the loopback, of the
second one stream of that network.

Read the ratios, not the seconds. Where a file goes up in parts the server here copies all of it
once more when it joins them, which Google's does not.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from gcs_server import free_port, gcs_server, make_bucket
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client, transfer_manager
from slow_network import slow_network

from daftt_core.storage import NOTHING, Cache, Manifest, RemoteFolder, commit
from daftt_core.storage.gcs import GcsStorage
from daftt_core.storage.manifest import differing

_CHUNK_BYTES = 16 * 2**20  # as ours
_numbers = count()


@dataclass(frozen=True)
class Network:
    """Where the server is seen.

    Attributes:
        name: In words.
        url: The server.
        stream: MB a second of one stream.
        of: What that is the speed of.
    """

    name: str
    url: str
    stream: float
    of: str


@dataclass(frozen=True)
class Time:
    """Seconds on the clock, and of this process's own computing."""

    clock: float
    computing: float


def main() -> None:
    """Measure and print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200, help="small files of 4 kB")
    parser.add_argument(
        "--megabytes", type=int, nargs="+", default=[64, 256], help="sizes of the large files"
    )
    parser.add_argument(
        "--shards", type=int, default=4, help="files of the smallest of these sizes"
    )
    parser.add_argument("--latency", type=float, default=0.02, help="seconds before each answer")
    parser.add_argument("--stream", type=float, default=50, help="MB a second of one connection")
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = _filled(folder / "small", {f"{n}.txt": 4096 for n in range(given.files)})
        cases = [(f"{given.files} files of 4 kB", folder / "small", small)]
        for size in given.megabytes:
            large = _filled(folder / f"{size}", {"large.bin": size * 10**6})
            cases.append((f"one file of {size} MB", folder / f"{size}", large))
        size = min(given.megabytes)
        names = {f"{n}.bin": size * 10**6 for n in range(given.shards)}
        shards = _filled(folder / "shards", names)
        cases.append((f"{given.shards} files of {size} MB", folder / "shards", shards))
        loopback = _loopback(max(given.megabytes))
        print(f"one TCP stream on the loopback: {loopback:.0f} MB/s")
        with gcs_server(folder / "near") as url:
            _measure(Network("side by side", url, loopback, "the loopback"), cases, given.rounds)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with gcs_server(folder / "far", url) as upstream:
            name = f"{given.latency * 1000:g} ms away"
            there = int(upstream.rpartition(":")[2])
            with slow_network(port, there, given.latency, given.stream * 1e6):
                _measure(Network(name, url, given.stream, "one stream"), cases, given.rounds)


def _filled(folder: Path, sizes: dict[str, int]) -> Manifest:
    folder.mkdir()
    for name, size in sizes.items():
        (folder / name).write_bytes(random.Random(name).randbytes(size))
    return commit(folder, folder.name)


def _measure(network: Network, cases: list[tuple[str, Path, Manifest]], rounds: int) -> None:
    os.environ["STORAGE_EMULATOR_HOST"] = network.url
    make_bucket(network.url, "benchmark")
    for what, folder, manifest in cases:
        size = sum(file.size for file in manifest.files)
        times = [_round(folder, manifest) for _ in range(rounds)]
        for case in ("store", "fetch"):
            ours, plain, managed = (
                min((each[case][peer] for each in times), key=lambda one: one.clock)
                for peer in range(3)
            )
            speed = size / ours.clock / 1e6
            print(
                f"{what}, {network.name}, {case}: {ours.clock:.3f} s ({speed:.1f} MB/s, "
                f"{speed / network.stream:.3f} of {network.of}; computing {ours.computing:.3f} s), "
                f"the plain client in a loop {plain.clock:.3f} s (computing "
                f"{plain.computing:.3f} s): {plain.clock / ours.clock:.2f} times as fast; "
                f"transfer_manager {managed.clock:.3f} s (computing {managed.computing:.3f} s): "
                f"{managed.clock / ours.clock:.2f} times as fast",
                flush=True,
            )


def _round(folder: Path, manifest: Manifest) -> dict[str, tuple[Time, ...]]:
    """Times of ours, the plain client and its manager, ours with connections of its own."""
    prefix = f"round-{next(_numbers)}"
    back = folder.parent / prefix
    back.mkdir()
    remote = RemoteFolder(GcsStorage(f"gs://benchmark/ours/{prefix}"), folder.name)
    client = Client(credentials=AnonymousCredentials(), project="benchmark")
    bucket = client.bucket("benchmark")

    def upload() -> None:
        for file in manifest.files:
            bucket.blob(f"plain/{prefix}/{file.name}").upload_from_filename(folder / file.name)

    def download() -> None:
        for file in manifest.files:
            bucket.blob(f"plain/{prefix}/{file.name}").download_to_filename(back / file.name)

    names = [file.name for file in manifest.files]
    managed = f"managed/{prefix}/"
    copies = back / "copies"
    how = {"worker_type": transfer_manager.THREAD, "max_workers": 8, "raise_exception": True}

    def upload_managed() -> None:
        options = {"checksum": "crc32c"}
        transfer_manager.upload_many_from_filenames(
            bucket,
            names,
            str(folder),
            blob_name_prefix=managed,
            upload_kwargs=options,
            **how,
        )

    def download_managed() -> None:
        copies.mkdir()
        small = [file.name for file in manifest.files if file.size <= _CHUNK_BYTES]
        transfer_manager.download_many_to_path(
            bucket, small, str(copies), blob_name_prefix=managed, **how
        )
        for name in set(names) - set(small):
            transfer_manager.download_chunks_concurrently(
                bucket.get_blob(managed + name),
                str(copies / name),
                chunk_size=_CHUNK_BYTES,
                worker_type=transfer_manager.THREAD,
                max_workers=8,
            )
        assert not differing(copies, manifest)

    cache = Cache(back / "cache", 10**12)
    times = {
        "store": (
            _timed(lambda: remote.commit(folder, manifest, NOTHING)),
            _timed(upload),
            _timed(upload_managed),
        ),
        "fetch": (
            _timed(lambda: remote.fetch(manifest, cache)),
            _timed(download),
            _timed(download_managed),
        ),
    }
    client.close()
    shutil.rmtree(back)
    return times


def _timed(work: Callable[[], object]) -> Time:
    clock, computing = time.perf_counter(), time.process_time()
    work()
    return Time(time.perf_counter() - clock, time.process_time() - computing)


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
