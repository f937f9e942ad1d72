"""What pydantic finds wrong, in this project's words: what was found, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from daftt_core.errors import did_you_mean, shortened

__all__ = ["explain"]

_FIXED = {
    "missing": "is missing",
    "model_type": "must hold names with values",
    "tuple_type": "must be a list",
}


def explain(
    error: ValidationError, model: type[BaseModel], *, own_with_value: bool = False
) -> Iterator[tuple[str, str]]:
    """Each mistake: the field, as a path with dots, and what is wrong with it on one line.

    Args:
        error: What validating ``model`` raised.
        model: Says which fields there are.
        own_with_value: Whether the sentences of the model's own checks want the value before them.
    """
    for details in error.errors():
        field = ".".join(map(str, details["loc"]))
        for line in _said(details, model, own_with_value).splitlines():
            yield field, line


def _said(details: Any, model: type[BaseModel], own_with_value: bool) -> str:
    kind, loc = details["type"], details["loc"]
    if kind in _FIXED:
        return _FIXED[kind]
    if kind == "extra_forbidden":
        known = _fields_at(model, loc[:-1])
        return (
            f"there is no such field{did_you_mean(str(loc[-1]), known)} (known: {', '.join(known)})"
        )
    message = re.sub("^(Input|String|Value error,|Value) ", "", details["msg"])
    if kind == "value_error" and not own_with_value:
        return message
    found = details["input"]
    if kind == "string_type" and isinstance(found, bool | int | float | date):
        # what YAML makes of yes, no, on, off, numbers and dates
        return f"{found} is no text; put it in quotes"
    if isinstance(found, str | int | float | bool):
        return f"{shortened(repr(found))} {message}"
    return message


def _fields_at(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The fields of the part of a model that a path leads to."""
    for name in loc:
        if isinstance(name, str):
            model = next(_models_in(model.model_fields[name].annotation))
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
