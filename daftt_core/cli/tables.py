"""Tables and progress on a terminal, in which every text is a text and nothing is markup."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daftt_core.records import visible

_WIDTH_OF_A_PIPE = 1000  # it has none of its own: what reads it wants whole lines


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
