"""What pydantic finds wrong, in this project's words: what was found, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from daftt_core.errors import did_you_mean, shortened

__all__ = ["explain"]

_NAMES_WITH_VALUES = "must hold names with values"
_WORDS = {
    "missing": "is missing",
    "json_invalid": "is not JSON: {error}",
    "int_type": "should be an integer",
    "int_parsing": "should be an integer",
    "int_from_float": "should be an integer",
    "int_parsing_size": "is too large",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "string_type": "should be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": _NAMES_WITH_VALUES,
    "model_type": _NAMES_WITH_VALUES,
    "model_attributes_type": _NAMES_WITH_VALUES,
    "string_too_short": "should not be empty",  # of all that have a least length it is 1
    "string_too_long": "should have at most {max_length} characters",
    "string_pattern_mismatch": "should match the regular expression {pattern}",
    "string_unicode": "holds half a surrogate pair, which is no text",
    "value_error": "{error}",
}
"""Kinds of mistakes whose words in pydantic are a program's, with what it knows of each in braces.

Its words for limits and choices are plain ("should be greater than 0") and taken as they are.
"""
_WITHOUT_VALUE = ("missing", "json_invalid")


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
    kind, loc, found = details["type"], details["loc"], details["input"]
    if kind == "extra_forbidden":
        known = _fields_at(model, loc[:-1])
        return (
            f"there is no such field{did_you_mean(str(loc[-1]), known)} (known: {', '.join(known)})"
        )
    if kind == "string_type" and isinstance(found, bool | int | float | date):
        # what YAML makes of yes, no, on, off, numbers and dates
        return f"{found} is no text; put it in quotes"
    message: str = details["msg"].removeprefix("Input ")
    if kind in _WORDS:
        message = _WORDS[kind].format(**details.get("ctx", {}))
    if kind in _WITHOUT_VALUE or (kind == "value_error" and not own_with_value):
        return message
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
