"""How every ``requests`` session here sends: within one deadline, and to no other host."""

from __future__ import annotations

import io
import socket
from collections.abc import Mapping
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ReadTimeout, RequestException
from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from daftt_core.network.addresses import is_metadata_service
from daftt_core.network.retry import within

_BLOCK_BYTES = 2**16


class MetadataServiceError(Exception):
    """An address leads to a metadata service; the message follows a name for the address."""


class DeadlineAdapter(HTTPAdapter):  # type: ignore[misc] # requests comes without types
    """An adapter that returns the whole answer of a request, head and body, within a deadline.

    The body is in memory when a request returns. No redirect is followed: the redirect itself is
    returned. Nothing is sent to a metadata service, even where a name leads there.

    Args:
        seconds: From looking up the server to the last byte; 0 takes it from the request's
            ``timeout``, which is then: seconds to connect, seconds in all.
        most_bytes: The largest body of an answer.
        connections: Connections to a server that are kept open.
    """

    def __init__(self, seconds: float = 0.0, *, most_bytes: int, connections: int = 10) -> None:
        self._seconds, self._most_bytes = seconds, most_bytes
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *sizes: Any, **more: Any) -> None:
        """Let connections be made by the guarded pools."""
        super().init_poolmanager(*sizes, **more)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request.

        Raises:
            RequestException: It failed; ``ReadTimeout``: the answer was not there in time.
            MetadataServiceError: The host's name leads to a metadata service.
        """
        seconds = self._seconds or float(timeout[1])

        def exchange() -> Response:
            answer = super(DeadlineAdapter, self).send(
                request, True, timeout, verify, cert, proxies
            )
            return self._with_body(answer)

        try:
            return within(seconds, exchange)
        except TimeoutError as error:
            raise ReadTimeout(str(error), request=request) from None

    def _with_body(self, answer: Response) -> Response:
        """Return the answer with its body read, still encoded as it came, and no redirect."""
        raw = answer.raw
        blocks: list[bytes] = []
        size = 0
        try:
            for block in raw.stream(_BLOCK_BYTES, decode_content=False):
                blocks.append(block)
                size += len(block)
                if size > self._most_bytes:
                    raw.close()
                    break
        except (HTTPError, OSError) as error:
            raise ChunkedEncodingError(error, response=answer) from None
        if size > self._most_bytes:
            raise RequestException(
                f"an answer of more than {self._most_bytes} bytes", response=answer
            )
        if 300 <= answer.status_code < 400:  # else requests would follow it, or read it at least
            answer.headers.pop("Location", None)
        answer.raw = HTTPResponse(
            io.BytesIO(b"".join(blocks)),
            headers=raw.headers,
            status=raw.status,
            reason=raw.reason,
            version=raw.version,
            preload_content=False,
            original_response=raw._original_response,  # where cookies are looked for
            request_method=answer.request.method,
        )
        return answer


def guard(session: Session, adapter: HTTPAdapter) -> None:
    """Let a session send everything through an adapter."""
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)


class _Guarded(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        try:
            peer = str(connection.getpeername()[0])
        except OSError:  # the server has reset it already
            connection.close()
            raise
        if is_metadata_service(peer):  # nothing was sent yet
            connection.close()
            raise MetadataServiceError(
                f"leads to {peer}, the address of a cloud's metadata service, which gives out "
                "credentials and is never called; correct the address"
            )
        return connection


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same before TLS begins."""


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls
