"""The message as a server wants it: plain JSON, or Slack's blocks.

What a run says holds text of others: task names, file names, words of data in an error. In Slack it
must neither call people nor become a link. ``&``, ``<`` and ``>`` are escaped, so ``<!channel>`` is
shown as it is; ``verbatim`` keeps Slack from making links and mentions of plain text; and
characters that cannot be seen, or turn the direction of what follows, are left out.
"""

from __future__ import annotations

from typing import Any, Literal

from daftt_core import __version__
from daftt_core.notifications.ending import Ending

__all__ = ["body_of"]

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
