"""The one way in which commands print: as plain, visible text, whatever it was made from.

Names of folders, messages of failures, task texts, logs and servers' answers are not ours. Printed
as they are, they could colour, move or retitle the terminal, and rich would read ``[brackets]`` in
them as its markup.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import IO, Any

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from daftt_core.records import visible

_WIDTH_OF_A_PIPE = 1000  # it has none of its own: what reads it wants whole lines


class PlainConsole(Console):
    """A console for which a text is that text: no markup, no emoji names, no control characters.

    Args:
        width_of_a_pipe: Characters of a line where nobody looks on; None: what rich takes.
        how: What else a rich console takes.
    """

    def __init__(self, *, width_of_a_pipe: int | None = None, **how: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **how)
        if width_of_a_pipe and not self.is_terminal:
            self.width = width_of_a_pipe

    def render_str(self, text: str, **how: Any) -> Text:
        """Every text that is printed, also in a table's cells, becomes visible here."""
        return super().render_str(visible(text), **{**how, "markup": False, "emoji": False})


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text.

    Args:
        text: The text, or what has one.
        err: Whether to print to stderr.
        nl: Whether a line break follows.
    """
    click.echo(visible(str(text)), err=err, nl=nl)


def say_json(value: object, file: IO[str] | None = None) -> None:
    """Print a value as JSON; control characters are escaped as JSON does it.

    Args:
        value: What ``json`` can write.
        file: Where to print instead of stdout.
    """
    click.echo(json.dumps(value, indent=1).replace("\x7f", "\\u007f"), file=file)


def show_table(table: Table, width_of_a_pipe: int = _WIDTH_OF_A_PIPE) -> None:
    """Print a table, in a pipe with lines as long as they need to be."""
    PlainConsole(file=sys.stdout, width_of_a_pipe=width_of_a_pipe).print(table)


def as_yaml(value: object) -> str:
    """A value as YAML; where characters cannot be seen, with escapes in their place."""
    text = str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))
    if text == visible(text):
        return text
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=100))


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def warn_in_plain_text() -> None:
    """Let warnings of the library, which quote names and files, be plain text too."""
    if logging.lastResort is not None:  # what prints them while nobody has set up a log
        logging.lastResort.setFormatter(_PlainFormatter())
