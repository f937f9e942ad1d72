"""Requests of an S3 client: connecting, retrying, explaining errors.

The client is botocore's. Its own retries are off, because every remote is retried in one way
(docs/adr/0028); its checksums are left to what a store supports.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import urllib3

from daftt_core.errors import StorageError
from daftt_core.network import TransientError, address_problem, pause_asked_for, within
from daftt_core.storage.copying import ObjectPatience

MD5 = "daftt-md5"
"""Metadata of an object: the MD5 of its content, which an ETag is not everywhere."""

RIGHTS = (
    "s3:ListBucket and s3:ListBucketMultipartUploads on it, and s3:GetObject, s3:PutObject, "
    "s3:DeleteObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts on its objects"
)
"""What a role needs on a bucket."""

_TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
_TRANSIENT_CODES = {
    "ConditionalRequestConflict",  # of two conditional writes at the same moment
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
}
_REFUSED_CODES = {
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_ATTEMPTS = 5  # at content that arrives damaged; transient failures are retried for longer
_LONGEST_PAUSE_SECONDS = 5.0  # before damaged content is copied again
_CONNECT_SECONDS = 10.0

T = TypeVar("T")


class DamagedError(TransientError):
    """The content that arrived is not the content that was sent."""


class _PassingError(TransientError):
    """A request failed in a way that may pass; the cause says how."""


@dataclass(frozen=True)
class Patience(ObjectPatience):
    """How long to keep trying, and at which errors."""

    def request(self, send: Callable[[], T]) -> T:
        """Send a request, and send it again while it fails in a way that may pass."""

        def attempt(_seconds: float) -> T:
            try:
                return within(self.deadline_seconds, send)
            except Exception as error:
                if not _is_transient(error):
                    raise
                raise _PassingError(f"S3: {error}", _requested_pause(error)) from error

        return self.call(attempt, on=_PassingError)

    def until_whole(self, copy: Callable[[], T]) -> T:
        """Copy content, and copy it again while it arrives damaged.

        Raises:
            DamagedError: It arrived damaged at every attempt.
        """
        retry = replace(
            self,
            deadline_seconds=math.inf,
            longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
            attempts=_ATTEMPTS,
        )
        return retry.call(lambda _seconds: copy(), on=DamagedError)


class Bucket:
    """Requests to one bucket, each repeated as long as patience allows.

    Args:
        name: The bucket.
        patience: How long to keep trying.
        connections: How many requests run at once.

    Raises:
        StorageError: The client is not installed, or the environment's endpoint is no address.
    """

    def __init__(self, name: str, patience: Patience, connections: int) -> None:
        self.name, self._patience = name, patience
        self._client = _connect(patience, connections)

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Return the answer to a request; ``operation`` is one of the client's methods."""
        method = getattr(self._client, operation)
        return self._patience.request(lambda: method(Bucket=self.name, **parameters))

    def fetch(self, key: str, **parameters: Any) -> tuple[bytes, Mapping[str, Any]]:
        """Return an object's content, or a range of it, with the rest of the answer.

        Raises:
            DamagedError: It is not the content that was stored.
        """
        from botocore.exceptions import FlexibleChecksumError

        def send() -> tuple[bytes, Mapping[str, Any]]:
            answer = self._client.get_object(Bucket=self.name, Key=key, **parameters)
            return answer["Body"].read(), answer

        try:
            data, answer = self._patience.request(send)
        except FlexibleChecksumError as error:
            raise DamagedError(str(error)) from error
        expected = answer["Metadata"].get(MD5)
        if "Range" not in parameters and expected and expected != md5(data).hexdigest():
            raise DamagedError(f"its MD5 is not {expected}")
        return data, answer

    def store(self, key: str, data: bytes, metadata: Mapping[str, str], **more: Any) -> None:
        """Store an object whole; the server checks its MD5."""
        digest = md5(data)
        self.call(
            "put_object",
            Key=key,
            Body=data,
            ContentMD5=base64.b64encode(digest.digest()).decode("ascii"),
            ContentType="application/octet-stream",
            Metadata={MD5: digest.hexdigest(), **metadata},
            **more,
        )

    def head(self, key: str) -> Mapping[str, Any] | None:
        """Return what is known of an object; None where there is no such object."""
        try:
            return self.call("head_object", Key=key)
        except known_errors() as error:
            if status_of(error) != 404:
                raise
            return None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def md5(data: bytes = b"") -> Any:
    """Return the MD5 of content: against damage on its way, not against an attacker."""
    return hashlib.md5(data, usedforsecurity=False)


def _connect(patience: Patience, connections: int) -> Any:
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        raise StorageError(
            "s3:// needs the package botocore: install DAFTT with its extra s3, such as "
            "pip install 'daftt[s3]'"
        ) from None
    for name in _ENDPOINTS:
        if problem := address_problem(os.environ.get(name) or "https://unset"):
            raise StorageError(f"the environment variable {name}: {problem}")
    session = Session()
    session.register_component("data_loader", _loader())
    config = Config(
        connect_timeout=min(_CONNECT_SECONDS, patience.request_seconds),
        read_timeout=patience.request_seconds,
        max_pool_connections=connections,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",  # stores other than Amazon's lack the newer
        user_agent_extra="daftt",
    )
    try:
        # Amazon's store says which region a bucket is in, and others have none.
        region = session.get_config_variable("region") or os.environ.get("AWS_REGION")
        return session.create_client("s3", region_name=region or "us-east-1", config=config)
    except (BotoCoreError, ValueError) as error:  # such as a profile that is not there
        raise StorageError(f"s3://: the settings of the AWS client: {_words(error)}") from None


@lru_cache(maxsize=1)
def _loader() -> Any:
    """Return what reads the client's description of S3: slow, and the same for every client."""
    from botocore.loaders import create_loader

    return create_loader()


def known_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that the client raises for failures that are not our fault."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (
        BotoCoreError,
        ClientError,
        TransientError,
        urllib3.exceptions.HTTPError,
        ConnectionError,
        TimeoutError,
    )


def _is_transient(error: BaseException) -> bool:
    from botocore.exceptions import (
        ConnectionError as ClientConnectionError,
    )
    from botocore.exceptions import HTTPClientError, IncompleteReadError
    from botocore.parsers import ResponseParserError

    broken = (
        ClientConnectionError,
        HTTPClientError,
        IncompleteReadError,
        ResponseParserError,
        urllib3.exceptions.HTTPError,
        ConnectionError,
        TimeoutError,
    )
    return (
        isinstance(error, broken)
        or status_of(error) in _TRANSIENT_STATUSES
        or code_of(error) in _TRANSIENT_CODES
    )


def _requested_pause(error: BaseException) -> float:
    headers = _answer(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return pause_asked_for(headers.get("retry-after"))


def status_of(error: BaseException) -> int:
    """Return the HTTP status of an error; 0 where it has none."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def code_of(error: BaseException) -> str:
    """Return the name that the server gives an error; empty where it has none."""
    return str(_answer(error).get("Error", {}).get("Code") or "")


def _answer(error: BaseException) -> Mapping[str, Any]:
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, Mapping) else {}


def sentence(uri: str, error: BaseException) -> str:
    """Return what happened to an object, in words, with what to do where that is known."""
    from botocore.exceptions import (
        CredentialRetrievalError,
        NoCredentialsError,
        PartialCredentialsError,
        SSOError,
        TokenRetrievalError,
    )

    bucket = "/".join(uri.split("/")[:3])
    if isinstance(error, DamagedError):
        return f"{uri}: does not have the checksum (MD5) that is stored with it"
    if isinstance(error, TransientError):
        reason = _reason(error.__cause__ or error)
        return f"{uri}: still fails after many attempts ({reason}); try again later"
    if isinstance(error, NoCredentialsError):
        return (
            f"{bucket}: there are no AWS credentials here; in a cluster, give the pod's service "
            "account a role, or name a secret with cluster_storage_secret, elsewhere run: "
            "aws configure"
        )
    unusable = (CredentialRetrievalError, PartialCredentialsError, SSOError, TokenRetrievalError)
    if isinstance(error, unusable) or code_of(error) in _REFUSED_CODES or status_of(error) == 401:
        return f"{bucket}: the AWS credentials found here were refused ({_reason(error)})"
    if code_of(error) == "NoSuchBucket":
        return f"{bucket}: there is no such bucket; create it, or correct the name"
    if status_of(error) == 404:
        return f"{uri}: there is no such object"
    if status_of(error) == 403:
        return f"{uri}: permission was denied ({_reason(error)})"
    return f"{uri}: {_reason(error)}"


def _reason(error: BaseException) -> str:
    status = status_of(error)
    words = str(_answer(error).get("Error", {}).get("Message") or "") if status else ""
    text = words or _words(error)
    kind = f"HTTP {status} {code_of(error)}".rstrip() if status else type(error).__name__
    return f"{kind}: {text[:200]}"


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
