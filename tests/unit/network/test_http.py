"""Connections of the sessions that call remotes."""

from __future__ import annotations

import gc
import select
import socket
import struct

import pytest
import requests
from requests import Session

from daftt_core.network import DeadlineAdapter, guard


def test_a_connection_that_the_server_resets_at_once_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        created: list[socket.socket] = []

        def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
            connection = socket.create_connection(address)
            accepted, _address = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()  # with a reset, as a server does that has no room
            select.select([connection], [], [], 10)
            created.append(connection)
            return connection

        monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
        with Session() as session:
            guard(session, DeadlineAdapter(10, most_bytes=1000))
            with pytest.raises(requests.ConnectionError):
                session.get(f"http://127.0.0.1:{server.getsockname()[1]}/")
    assert [connection.fileno() for connection in created] == [-1]
    created.clear()
    gc.collect()  # an open one would warn, and a warning is an error here
