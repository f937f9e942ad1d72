"""The one way in which commands print: as plain, visible text, whatever it was made from.

Names of folders, messages of failures, task texts, logs and servers' answers are not ours. Printed
as they are, they could colour, move or retitle the terminal, and rich would read ``[brackets]`` in
them as its markup.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import IO, Any, TypeVar

import click

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print an object as ``str`` shows it; with ``err`` to stderr, with ``nl`` a line break."""
    click.echo(_visible(str(text)), err=err, nl=nl)


def say_json(value: object, file: IO[str] | None = None) -> None:
    """Print a value as JSON, to stdout or ``file``; control characters are escaped."""
    click.echo(json.dumps(value, indent=1).replace("\x7f", "\\u007f"), file=file)


def with_json(command: _Decorated) -> _Decorated:
    """Give a command the option to print JSON, as its parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def as_yaml(value: object) -> str:
    """Return a value as YAML, with escapes in the place of invisible characters."""
    import yaml  # as in _visible: not for the commands that print none

    text = str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))
    if text == _visible(text):
        return text
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=100))


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _visible(super().format(record))


def warn_in_plain_text() -> None:
    """Print the library's warnings, which quote names and files, as plain text too."""
    if logging.lastResort is not None:  # what prints them while nobody has set up a log
        logging.lastResort.setFormatter(_PlainFormatter())


def _visible(text: str) -> str:
    """Return the text as ``records.visible`` does, which is imported only where it has work."""
    if text.replace("\n", "").isprintable():
        return text
    from daftt_core.records import visible

    return visible(text)
