"""How the client library of Google Cloud Storage sends: within a deadline, and JSON is looked at.

The library takes it for granted that an answer is a JSON object, and an error of the documented
form. What it raises where they are not says nothing and is not tried again.
"""

from __future__ import annotations

import json
from typing import Any

from requests import PreparedRequest, Response
from requests.exceptions import InvalidJSONError

from daftt_core.network import DeadlineAdapter

_MOST_BYTES = 2**31


class GcsAdapter(DeadlineAdapter):
    """Sends requests of the client library.

    Args:
        seconds: Over the whole of a request, the answer's body included.
        connections: How many to a server are kept open.
    """

    def __init__(self, seconds: float, connections: int) -> None:
        super().__init__(seconds, most_bytes=_MOST_BYTES, connections=connections)

    def send(self, request: PreparedRequest, *how: Any, **more: Any) -> Response:
        """Send a request.

        Raises:
            RequestException: It failed; ``InvalidJSONError``: the answer should be a JSON object.
        """
        answer = super().send(request, *how, **more)
        is_content = answer.ok and "alt=media" in str(request.url)
        if is_content or not answer.content:
            return answer
        document = _json(answer.content)
        if answer.ok and not isinstance(document, dict):
            raise InvalidJSONError("an answer that is no JSON object", response=answer)
        if not answer.ok and document is not None:
            answer._content = json.dumps({"error": {"message": _message(document)}}).encode()
        return answer


def _json(body: bytes) -> Any:
    """What a JSON text says; False where it is nested too deeply, None where it is none."""
    try:
        return json.loads(body)
    except RecursionError:
        return False
    except ValueError:
        return None


def _message(document: Any) -> str:
    """The server's words about an error; empty where they are not in the documented place."""
    error = document.get("error") if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""
