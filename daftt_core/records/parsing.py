"""Reading what people write: YAML and JSON without surprises, Hub ids, and words for mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from daftt_core.errors import DafttError, did_you_mean, shortened

M = TypeVar("M", bound=BaseModel)

_NAMES_WITH_VALUES = "must hold names with values"
_MESSAGES = {
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
    "string_unicode": "holds half a surrogate pair, which is not text",
    "value_error": "{error}",
}
"""Messages for kinds of mistakes that pydantic words for programmers; braces hold its context.

Its messages for limits and choices are plain ("should be greater than 0") and used as they are.
"""
_WITHOUT_VALUE = ("missing", "json_invalid")


def explain(
    error: ValidationError, model: type[BaseModel], *, own_with_value: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield each mistake: the field, as a path with dots, and the problem in one line.

    Args:
        error: The error that validating ``model`` raised.
        model: The model.
        own_with_value: Whether messages of the model's own checks follow the value.
    """
    for details in error.errors():
        field = ".".join(map(str, details["loc"]))
        for line in _problem(details, model, own_with_value).splitlines():
            yield field, line


def _problem(details: Any, model: type[BaseModel], own_with_value: bool) -> str:
    kind, loc, value = details["type"], details["loc"], details["input"]
    if kind == "extra_forbidden":
        known = _fields_at(model, loc[:-1])
        return (
            f"there is no such field{did_you_mean(str(loc[-1]), known)} (known: {', '.join(known)})"
        )
    if kind == "string_type" and isinstance(value, bool | int | float | date):
        # what YAML makes of yes, no, on, off, numbers and dates
        return f"{value} is not text; put it in quotes"
    message: str = details["msg"].removeprefix("Input ")
    if kind in _MESSAGES:
        message = _MESSAGES[kind].format(**details.get("ctx", {}))
    if kind in _WITHOUT_VALUE or (kind == "value_error" and not own_with_value):
        return message
    if isinstance(value, str | int | float | bool):
        return f"{shortened(repr(value))} {message}"
    return message


def _fields_at(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Return the fields of the part of a model that a path leads to."""
    for name in loc:
        if isinstance(name, str):
            model = next(_models_in(model.model_fields[name].annotation))
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text; refuse tags of objects, merges and repeated keys.

    Raises:
        ValueError: It is not such a text; the message is one line, with the place.
    """
    from daftt_core.records.plain_yaml import load  # with yaml, which not every command needs

    return load(text)


def parse_document(text: str, model: type[M], where: str, error_type: type[DafttError]) -> M:
    """Parse a YAML text as a model.

    Args:
        text: The text.
        model: The model.
        where: Name of the text for messages, such as its file.
        error_type: The error to raise.

    Raises:
        DafttError: It is not such a text; the message names every mistake, one a line.
    """
    try:
        return model.model_validate(parse_yaml(text))
    except ValidationError as error:
        mistakes = explain(error, model)
        lines = [f"{where}: {field or 'the file'}: {problem}" for field, problem in mistakes]
        raise error_type("\n".join(lines)) from None
    except ValueError as error:
        raise error_type(f"{where}: is not YAML: {error}") from None


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; refuse repeated keys, NaN and infinity.

    Raises:
        json.JSONDecodeError: It is not JSON.
        ValueError: It is JSON that cannot be used; the message is one line.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in values if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} occurs twice")
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value; write null for a missing one")


_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")


class HubId(NamedTuple):
    """The id of a model or data set on the Hub.

    Attributes:
        name: Owner and name, ``org/name``.
        revision: Commit, branch or tag; None for the newest.
    """

    name: str
    revision: str | None


def hub_id(text: str) -> HubId | None:
    """Read ``org/name`` or ``org/name@revision``; None where the text has neither form."""
    match = _HUB_ID.fullmatch(text)
    return HubId(*match.groups()) if match else None


# Of the licenses that the Hub knows, those of models and data sets that people train with
# (https://huggingface.co/docs/hub/repositories-licenses).
_LICENSES = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigscience-bloom-rail-1.0 bsd bsd-2-clause bsd-3-clause
bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
ecl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 gemma gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1
lgpl-3.0 llama2 llama3 llama3.1 llama3.2 llama3.3 mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1
openrail openrail++ osl-3.0 pddl postgresql unlicense wtfpl zlib
"""
_NO_SLUG = re.compile("[^a-z0-9.+]+")
_MOST_LICENSE_CHARACTERS = 60


def hub_license(text: str) -> dict[str, str]:
    """Return a license in the fields of a card's heading, as the Hub understands them.

    What follows the license's name (a bracket, a semicolon or a comma) is ignored. A license that
    the Hub does not know is ``other`` with a name; none is ``unknown``.
    """
    name = re.split(r"[(;,]", text, maxsplit=1)[0].lower()
    slug = _NO_SLUG.sub("-", name).strip("-").removesuffix("-license")
    if slug in _LICENSES.split():
        return {"license": slug}
    if not slug:
        return {"license": "unknown"}
    return {"license": "other", "license_name": slug[:_MOST_LICENSE_CHARACTERS].strip("-")}
