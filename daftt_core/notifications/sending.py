"""Sending a message to the URL that a secret holds, without ever showing that URL.

The URL of a webhook is a password: who knows it can write to the channel. It comes from the
environment alone, and is in no message, log line or error: what libraries say about it is left out.

The message as a server wants it: plain JSON, or Slack's blocks.

What a run says holds text of others: task names, file names, words of data in an error. In Slack it
must neither call people nor become a link. ``&``, ``<`` and ``>`` are escaped, so ``<!channel>`` is
shown as it is; ``verbatim`` keeps Slack from making links and mentions of plain text; and
characters that cannot be seen, or turn the direction of what follows, are left out.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from daftt_core import __version__
from daftt_core.errors import ConfigError, DafttError, RemoteError
from daftt_core.network import Retry, TransientError, address_problem, pause_asked_for
from daftt_core.notifications.ending import TITLES, Ending
from daftt_core.telemetry import log

# Once escaped a text is five times as long at most, and Slack takes 3,000 characters in a block.
_MOST_OF_SENTENCE = 590
_MOST_OF_LINE = 180


def body_of(ending: Ending, form: Literal["webhook", "slack"]) -> dict[str, Any]:
    """Return the JSON to send."""
    if form == "slack":
        return _slack(ending)
    return {"event": "run-ended", "daftt": __version__, **ending.model_dump(mode="json")}


def _slack(ending: Ending) -> dict[str, Any]:
    title = f"DAFTT: {TITLES[ending.outcome]}"
    about = {"Run": ending.run, "Task": ending.task, "Place": ending.uri}
    lines = [f"{name}: {_escaped(value, _MOST_OF_LINE)}" for name, value in about.items() if value]
    texts = (f"*{title}*", _escaped(ending.sentence, _MOST_OF_SENTENCE), "\n".join(lines))
    return {
        "text": title,  # what a telephone shows first: none of it is others' text
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}
            for text in texts
            if text
        ],
    }


def _escaped(text: str, most: int) -> str:
    seen = "".join(char if char.isprintable() else " " for char in text)
    if len(seen) > most:
        seen = f"{seen[:most]}..."
    return seen.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


URL_VARIABLE = "DAFTT_NOTIFY_URL"

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 10.0  # for the whole answer of one attempt
_MOST_BYTES = 2**20
_RETRY = Retry(
    deadline_seconds=45.0, first_pause_seconds=2.0, longest_pause_seconds=4.0, attempts=3
)
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


def notify(ending: Ending, form: str) -> None:
    """Tell how a run ended, if that was requested; a failure to do so is only warned about.

    Args:
        ending: How it ended.
        form: ``webhook`` or ``slack``; nothing else is sent.
    """
    if form not in ("webhook", "slack"):
        return
    try:
        send(ending, "slack" if form == "slack" else "webhook")
    except DafttError as error:
        log.warning("nobody was notified, and the run is what it is: %s", error)


def send(ending: Ending, form: Literal["webhook", "slack"]) -> None:
    """Send a message.

    Args:
        ending: What to tell.
        form: How the server wants it.

    Raises:
        ConfigError: The environment does not hold a URL.
        RemoteError: The server cannot be reached, refuses, or does not answer in time.
    """
    url, body = _url(), body_of(ending, form)
    try:
        _RETRY.call(lambda seconds_left: _post(url, body, seconds_left))
    except TransientError as error:
        raise _unusable(str(error)) from None


def _url() -> str:
    url = os.environ.get(URL_VARIABLE, "").strip()
    if not url:
        raise ConfigError(
            f"the environment variable {URL_VARIABLE} is not set; it must hold the webhook's URL "
            "(in a cluster, the key 'url' of the secret that notify_secret names)"
        )
    if problem := address_problem(url):
        raise ConfigError(f"the environment variable {URL_VARIABLE}: the URL {problem}")
    return url


def _post(url: str, body: dict[str, Any], seconds_left: float) -> None:
    """Send a message once.

    Raises:
        TransientError: It failed in a way that may pass.
        RemoteError: It failed in another way.
    """
    import requests

    from daftt_core.network import DeadlineAdapter, MetadataServiceError, guard

    seconds = min(_ANSWER_SECONDS, seconds_left)
    try:
        with requests.Session() as session:
            guard(session, DeadlineAdapter(most_bytes=_MOST_BYTES))
            answer = session.post(url, json=body, timeout=(_CONNECT_SECONDS, seconds))
    except MetadataServiceError as error:  # it holds the address, but not the URL
        raise _unusable(f"it {error}") from None
    except requests.ReadTimeout:
        raise TransientError(f"it does not answer within {seconds:.0f} seconds") from None
    except (requests.ConnectionError, requests.Timeout) as error:  # its words hold the URL
        raise TransientError(type(error).__name__) from None
    except Exception as error:  # whatever it is: a traceback would hold the URL
        raise _unusable(type(error).__name__) from None
    status = answer.status_code
    if status in _BUSY:
        pause = pause_asked_for(answer.headers.get("Retry-After"))
        raise TransientError(f"it answers {status}", pause)
    if 300 <= status < 400:
        raise _unusable(f"it redirects elsewhere ({status}), which is not followed")
    if status >= 400:
        raise _unusable(f"it answers {status}")


def _unusable(reason: str) -> RemoteError:
    return RemoteError(f"the server that {URL_VARIABLE} names cannot be used: {reason}")
