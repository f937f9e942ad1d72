"""Ids of models and data sets on the Hugging Face Hub."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["HubId", "hub_id"]

_FORM = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")


class HubId(NamedTuple):
    """Where something is on the Hub.

    Attributes:
        name: Its owner and its name, ``org/name``.
        revision: Commit, branch or tag; None where the newest is meant.
    """

    name: str
    revision: str | None


def hub_id(text: str) -> HubId | None:
    """Read ``org/name`` or ``org/name@revision``; None where the text has neither form."""
    found = _FORM.fullmatch(text)
    return HubId(*found.groups()) if found else None
