"""Reading the JSON that people and their programs write: plain values only, each key once."""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["parse_json"]


def parse_json(text: str) -> Any:
    """The value that a JSON text stands for; repeated keys, NaN and infinity are refused.

    Args:
        text: The text.

    Raises:
        json.JSONDecodeError: It is no JSON.
        ValueError: It is JSON that cannot be used; the message is one line.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON value; where there is none, write null")
