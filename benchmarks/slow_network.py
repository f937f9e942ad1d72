"""A network for benchmarks: every connection answers late and carries only so much a second.

It is a process of its own that passes bytes on, so that what it costs does not slow down the
program that is measured more than a network would.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BLOCK_BYTES = 2**18


@contextmanager
def slow_network(
    port: int, upstream: int, latency: float, stream_bytes_a_second: float
) -> Iterator[None]:
    """Pass connections to ``port`` on to ``upstream``, both on this machine.

    Args:
        port: Where clients connect.
        upstream: Where the server listens.
        latency: Seconds from a request to its answer, at the least.
        stream_bytes_a_second: What one connection carries in each direction.
    """
    arguments = (port, upstream, latency, stream_bytes_a_second)
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=arguments, daemon=True
    )
    process.start()
    try:
        _wait_until_open(port)
        yield
    finally:
        process.terminate()
        process.join()


def _serve(port: int, upstream: int, latency: float, rate: float) -> None:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", upstream, limit=_BLOCK_BYTES)
        await asyncio.gather(
            _pass_on(reader, there[1], latency / 2, rate),
            _pass_on(there[0], writer, latency / 2, rate),
            return_exceptions=True,
        )

    async def run() -> None:
        async with await asyncio.start_server(
            connect, "127.0.0.1", port, limit=_BLOCK_BYTES
        ) as server:
            await server.serve_forever()

    asyncio.run(run())


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, rate: float
) -> None:
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)

    async def arrive() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - time.monotonic())
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    arriving = asyncio.create_task(arrive())
    sent, data = 0.0, b"more"
    while data:
        data = await reader.read(_BLOCK_BYTES)
        sent = max(sent, time.monotonic()) + len(data) / rate
        await under_way.put((sent + delay, data))
    await arriving


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the slow network did not start")
