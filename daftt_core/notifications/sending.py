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
import time
from typing import Any, Literal

from daftt_core import __version__
from daftt_core.errors import ConfigError, DafttError, RemoteError
from daftt_core.network import address_problem, within
from daftt_core.notifications.ending import Ending, ending_of
from daftt_core.telemetry import log
from daftt_core.workspace import Run

__all__ = [
    "URL_VARIABLE",
    "body_of",
    "notify",
    "send",
]

# Once escaped a text is five times as long at most, and Slack takes 3,000 characters in a block.
_MOST_OF_SENTENCE = 590
_MOST_OF_LINE = 180
_TITLES = {
    "succeeded": "A run succeeded",
    "no-gain": "A run ended without a proven gain",
    "promoted": "A run ended and its student is the new champion",
    "not-promoted": "A run ended and its student was not promoted",
    "not-trained": "A run ended without a reason to train",
    "failed": "A run failed",
    "test": "A test message",
}


def body_of(ending: Ending, form: Literal["webhook", "slack"]) -> dict[str, Any]:
    """The JSON to send."""
    if form == "slack":
        return _slack(ending)
    return {"event": "run-ended", "daftt": __version__, **ending.model_dump(mode="json")}


def _slack(ending: Ending) -> dict[str, Any]:
    title = f"DAFTT: {_TITLES[ending.outcome]}"
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

_TIMEOUT_SECONDS = (5, 10)  # to connect, and for the whole answer of one attempt
_MOST_BYTES = 2**20
_PAUSES_SECONDS = (1.0, 3.0)  # before the second attempt, and before the third
_DEADLINE_SECONDS = 45.0
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})


def notify(run: Run | None, form: str, state: str, message: str = "") -> None:
    """Tell how a run ended, if that was asked for; a failure to do so is only warned about.

    Args:
        run: The run; None when its settings make none.
        form: ``webhook`` or ``slack``; nothing else is sent.
        state: How it ended, in the words of Kubeflow Pipelines, such as ``SUCCEEDED``.
        message: What Kubeflow Pipelines says about a failure; may be empty.
    """
    if form not in ("webhook", "slack"):
        return
    try:
        send(ending_of(run, state, message), "slack" if form == "slack" else "webhook")
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
        trouble = within(_DEADLINE_SECONDS, lambda: _post_patiently(url, body))
    except TimeoutError:
        trouble = f"it does not answer within {_DEADLINE_SECONDS:.0f} seconds"
    if trouble:
        raise RemoteError(f"the server that {URL_VARIABLE} names cannot be used: {trouble}")


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


def _post_patiently(url: str, body: dict[str, Any]) -> str:
    """What went wrong at the last attempt, if anything."""
    for pause in (*_PAUSES_SECONDS, None):
        trouble, may_pass = _post(url, body)
        if pause is None or not may_pass:
            break
        time.sleep(pause)
    return trouble


def _post(url: str, body: dict[str, Any]) -> tuple[str, bool]:
    """What went wrong, if anything, and whether it may pass by itself."""
    import requests

    from daftt_core.network import DeadlineAdapter, MetadataServiceError, guard

    try:
        with requests.Session() as session:
            guard(session, DeadlineAdapter(most_bytes=_MOST_BYTES))
            answer = session.post(url, json=body, timeout=_TIMEOUT_SECONDS)
    except MetadataServiceError as error:  # it holds the address, but not the URL
        return f"it {error}", False
    except requests.RequestException as error:  # its words hold the URL
        passing = isinstance(error, requests.ConnectionError | requests.Timeout)
        return f"{type(error).__name__}", passing
    except Exception as error:  # whatever it is: a traceback would hold the URL
        return f"{type(error).__name__}", False
    status = answer.status_code
    if 300 <= status < 400:
        return f"it redirects elsewhere ({status}), which is not followed", False
    return ("", False) if status < 300 else (f"it answers {status}", status in _BUSY)
