"""``daftt clean``: what a run can do without."""

from __future__ import annotations

import math
from typing import Any

import click

from daftt_core.cli.printing import say, say_json, with_json
from daftt_core.records import visible_line
from daftt_core.storage import open_storage


class _FiniteRange(click.FloatRange):
    """A range of numbers that excludes infinity, and NaN, which no limit stops."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return a word as a number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@click.command("clean")
@click.argument("uri")
@click.option(
    "--older-than",
    "hours",
    type=_FiniteRange(min=0),
    default=24.0,
    show_default=True,
    help="Hours; what was written or replaced since then is kept.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@with_json
def clean_command(uri: str, hours: float, dry_run: bool, as_json: bool) -> None:
    """Remove replaced results, and what interrupted work left behind, from a run in a bucket.

    URI is the run, such as gs://bucket/daftt/my-run. What a finished stage refers to is kept, and
    so is the progress of an unfinished stage. In a folder, of a run or a registry, only the
    unfinished files of killed processes are removed, whenever they were written.

    \b
    Examples:
      daftt clean gs://my-bucket/daftt/my-run --dry-run
      daftt clean gs://my-bucket/daftt/my-run --older-than 2
    """
    from daftt_core.workspace.garbage import find_leftovers

    storage = open_storage(uri)
    leftovers = find_leftovers(storage, hours * 3600)
    if not dry_run:
        storage.delete(leftovers)
    fate = "would be removed" if dry_run else "removed"
    sizes = {name: entry.size for name, entry in leftovers.items()}
    if as_json:
        say_json({"fate": fate, "bytes": sizes})
        return
    for name in sizes:
        say(visible_line(f"{fate} {storage.uri}/{name}"))
    say(f"{storage.uri}: {len(sizes)} objects, {sum(sizes.values()) / 1e9:.3f} GB {fate}")
