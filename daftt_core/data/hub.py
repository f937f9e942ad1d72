"""Data sets of the Hugging Face Hub, by their ids.

A data set is written ``hub:ORG/NAME:CONFIG@REVISION#SPLIT``; all but the name may be left out. The
``datasets`` library fetches it and keeps it as Arrow files, and those are read like any others.
"""

from __future__ import annotations

import re
from pathlib import Path

from daftt_core.errors import DataError
from daftt_core.tasks import Hub

__all__ = ["HUB", "fetch_hub", "hub_place"]

HUB = "hub:"
_PLACE = re.compile(
    r"hub:(?P<path>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)"
    r"(?::(?P<config>[^:@#]+))?(?:@(?P<revision>[^#]+))?(?:#(?P<split>[\w.-]+))?"
)


def hub_place(hub: Hub, split: str) -> str:
    """The written form of a split of a task's data set."""
    config = f":{hub.config}" if hub.config else ""
    return f"{HUB}{hub.path}{config}@{hub.revision}#{split}"


def fetch_hub(setting: str, place: str) -> list[Path]:
    """Fetch a split, unless it was fetched before.

    Args:
        setting: The parameter that stands for it, for messages.
        place: Its written form.

    Returns:
        Its Arrow files.

    Raises:
        DataError: It is not written as it should be, or cannot be had.
    """
    parts = _PLACE.fullmatch(place)
    if not parts:
        raise DataError(
            f"{setting}: {place}: is not written as hub:ORG/NAME:CONFIG@REVISION#SPLIT "
            "(all but the name may be left out; a split is a name, such as validation)"
        )
    try:
        from datasets import load_dataset
    except ImportError:
        raise DataError(
            f"{setting}: {place}: needs the package datasets; install it, or name files there"
        ) from None
    try:
        found = load_dataset(
            parts["path"],
            parts["config"],
            split=parts["split"] or "train",
            revision=parts["revision"] or "main",
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{setting}: {place}: the Hugging Face Hub could not deliver it ({reason}); "
            "name files there"
        ) from None
    if not found.cache_files:
        raise DataError(f"{setting}: {place}: holds no rows")
    return [Path(file["filename"]) for file in found.cache_files]
