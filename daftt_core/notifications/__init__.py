"""Messages about the end of a run, to a webhook or to Slack."""

from daftt_core.notifications.ending import TITLES, Ending, ending_of, example_ending
from daftt_core.notifications.sending import URL_VARIABLE, body_of, notify, send

__all__ = [
    "TITLES",
    "URL_VARIABLE",
    "Ending",
    "body_of",
    "ending_of",
    "example_ending",
    "notify",
    "send",
]
