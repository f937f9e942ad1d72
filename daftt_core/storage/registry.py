"""The storage of each scheme. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from daftt_core.errors import StorageError, did_you_mean
from daftt_core.storage.local import FileStorage
from daftt_core.storage.protocol import Storage


def _google(uri: str) -> Storage:
    from daftt_core.storage.gcs import GcsStorage  # with requests, which a folder needs none of

    return GcsStorage(uri)


def _s3(uri: str) -> Storage:
    from daftt_core.storage.s3 import S3Storage  # with urllib3, which a folder needs none of

    return S3Storage(uri)


SCHEMES: dict[str, Callable[[str], Storage]] = {
    "file": FileStorage,  # a plain path is one as well
    "gs": _google,
    "s3": _s3,
}


def open_storage(uri: str) -> Storage:
    """Return the storage that a URI names; nothing is read or created yet.

    Args:
        uri: ``gs://bucket/prefix``, ``s3://bucket/prefix``, ``file:///folder``, or a plain path.

    Raises:
        StorageError: The scheme is unknown, or the URI lacks what its scheme needs.
    """
    scheme, separator, _ = uri.partition("://")
    if not separator:
        return SCHEMES["file"](uri)
    if scheme not in SCHEMES:
        raise StorageError(
            f"{uri}: the scheme {scheme!r} is not known (known: {', '.join(SCHEMES)})"
            f"{did_you_mean(scheme, SCHEMES)}"
        )
    return SCHEMES[scheme](uri)


def read_object(uri: str) -> bytes | None:
    """Return the content of a small file or object; None where there is no such one.

    Args:
        uri: Its path, or its URI in a bucket.

    Raises:
        StorageError: It cannot be read.
    """
    folder, _, name = uri.rpartition("/")
    content = open_storage(folder or ("/" if uri.startswith("/") else ".")).read(name)
    return content.data if content else None
