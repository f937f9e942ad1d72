"""The one way in which commands print: as plain, visible text, whatever it was made from.

Names of folders, messages of failures, task texts, logs and servers' answers are not ours. Printed
as they are, they could colour, move or retitle the terminal, and rich would read ``[brackets]`` in
them as its markup.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Collection, Sequence
from typing import IO, Any, Literal, TypeVar

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from daftt_core.records import visible

_WIDTH_OF_A_PIPE = 1000  # it has none of its own: what reads it wants whole lines
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class PlainConsole(Console):
    """A console for which a text is that text: no markup, no emoji names, no control characters.

    Args:
        width_of_a_pipe: Characters per line when the output is no terminal; None: rich's default.
        options: Other arguments of a rich console.
    """

    def __init__(self, *, width_of_a_pipe: int | None = None, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)
        if width_of_a_pipe and not self.is_terminal:
            self.width = width_of_a_pipe

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a text visible; every one that is printed passes here, also a table's cells."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print an object as ``str`` shows it; with ``err`` to stderr, with ``nl`` a line break."""
    click.echo(visible(str(text)), err=err, nl=nl)


def say_json(value: object, file: IO[str] | None = None) -> None:
    """Print a value as JSON, to stdout or ``file``; control characters are escaped."""
    click.echo(json.dumps(value, indent=1).replace("\x7f", "\\u007f"), file=file)


def with_json(command: _Decorated) -> _Decorated:
    """Give a command the option to print JSON, as its parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def new_table(headings: Sequence[str], *, numeric: Collection[str] = (), title: str = "") -> Table:
    """Return an empty table without lines.

    Args:
        headings: Names of the columns.
        numeric: Columns that are aligned to the right.
        title: Stands above it.
    """
    table = Table(box=None, pad_edge=False, title=title or None, title_justify="left")
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in numeric else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    return table


def show_table(table: Table, width_of_a_pipe: int = _WIDTH_OF_A_PIPE) -> None:
    """Print a table, in a pipe with lines as long as they need to be."""
    PlainConsole(file=sys.stdout, width_of_a_pipe=width_of_a_pipe).print(table)


def as_yaml(value: object) -> str:
    """Return a value as YAML, with escapes in the place of invisible characters."""
    text = str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))
    if text == visible(text):
        return text
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=100))


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def warn_in_plain_text() -> None:
    """Print the library's warnings, which quote names and files, as plain text too."""
    if logging.lastResort is not None:  # what prints them while nobody has set up a log
        logging.lastResort.setFormatter(_PlainFormatter())
