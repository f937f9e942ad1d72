"""Rows of JSON: one object a line, or a list of objects; which of them a ``.json`` file holds."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from daftt_core.data.lines import decode_lines, refuse_utf16
from daftt_core.data.rows import MALFORMED, Fields, Mistakes, Problem, list_names
from daftt_core.errors import DataError, did_you_mean
from daftt_core.records import composed, parse_json

_FORMS = (
    "a .json file holds a list of objects, one object a line, or a task of "
    "Super-NaturalInstructions ('Definition' and 'Instances')"
)
_TASK_KEYS = {"Definition", "Instances"}
_MOST_FIRST_LINE_BYTES = 2**20


def read_json_lines(
    path: Path, columns: Sequence[str], mistakes: Mistakes, may_lack: Sequence[str] = ()
) -> Fields:
    """The object on each line that is not blank, with the line.

    Args:
        path: The file.
        columns: Keys that each object must have.
        mistakes: Gets the lines that cannot be read.
        may_lack: Those of the columns that count as empty where they are not there.
    """
    for number, line in enumerate(decode_lines(path, mistakes), start=1):
        if not line.strip():
            mistakes.pass_over()
            continue
        try:
            found = parse_json(line)
        except json.JSONDecodeError as error:
            problem = f"is not JSON: {error.msg} at column {error.colno}"
            mistakes.add(number, Problem(MALFORMED, problem))
        except ValueError as error:  # a number too long, nesting too deep, a key twice
            mistakes.add(number, Problem(MALFORMED, f"cannot be read as JSON: {error}"))
        else:
            yield from _checked(number, found, columns, mistakes, may_lack)


def read_json_file(
    path: Path,
    columns: Sequence[str],
    mistakes: Mistakes,
    may_lack: Sequence[str],
    read_task: Callable[[bytes], Fields],
) -> Fields:
    """The rows of a ``.json`` file in any of its forms.

    Args:
        path: The file.
        columns: Keys that each object must have.
        mistakes: Gets the objects that cannot be used.
        may_lack: Those of the columns that count as empty where they are not there.
        read_task: Reads the content of a task of Super-NaturalInstructions.

    Raises:
        DataError: The file has none of the forms.
        OSError: It cannot be read.
    """
    if _is_lines(path):
        mistakes.unit = "line"
        yield from read_json_lines(path, columns, mistakes, may_lack)
        return
    # a list and a task are one JSON value: they are held in memory
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    refuse_utf16(content, mistakes)
    if not content.strip():
        return
    found = _whole(content, mistakes)
    if isinstance(found, dict) and _TASK_KEYS & set(found):
        yield from read_task(content)
    elif isinstance(found, list):
        for number, item in enumerate(found, start=1):
            yield from _checked(number, item, columns, mistakes, may_lack)
    else:
        what = "is one JSON value"
        if isinstance(found, dict):
            what = f"is one JSON object with the keys {list_names(found)}"
        raise DataError(f"{mistakes.file}: {what}; {_FORMS}")


def _is_lines(path: Path) -> bool:
    """Whether the first line that is not blank is an object by itself, and none of a task."""
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_MOST_FIRST_LINE_BYTES), b""):
            if line.strip():
                try:
                    found = parse_json(line.decode("utf-8-sig", "surrogateescape"))
                except json.JSONDecodeError:
                    return False
                except ValueError:
                    return line.lstrip(codecs.BOM_UTF8).startswith(b"{")
                return isinstance(found, dict) and not _TASK_KEYS & set(found)
    return False


def _whole(content: bytes, mistakes: Mistakes) -> Any:
    try:
        # bytes that are not UTF-8 are seen where a text holds them
        return parse_json(content.decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{mistakes.file}: is not JSON: {error.msg} at line {error.lineno}, column "
            f"{error.colno}; {_FORMS}"
        ) from None
    except ValueError as error:
        raise DataError(f"{mistakes.file}: cannot be read as JSON: {error}") from None


def _checked(
    number: int,
    found: object,
    columns: Sequence[str],
    mistakes: Mistakes,
    may_lack: Sequence[str],
) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The fields of an object; nothing where it cannot be used, which is noted."""
    if not isinstance(found, dict):
        problem = 'is not a JSON object such as {"text": "...", "label": "..."}'
        mistakes.add(number, Problem(MALFORMED, problem))
        return
    fields = {composed(name): value for name, value in found.items()}
    for column in columns:
        if column in fields:
            continue
        hint = did_you_mean(column, fields)
        if column in may_lack and not hint:
            fields[column] = None
        else:
            problem = f"has no {column!r}{hint} (keys found: {list_names(fields)})"
            mistakes.add(number, Problem(MALFORMED, problem))
            return
    yield number, fields
