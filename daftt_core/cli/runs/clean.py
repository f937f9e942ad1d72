"""``daftt clean``: remove from a run's storage what nothing refers to any more."""

from __future__ import annotations

import click

from daftt_core.cli.printing import say, say_json
from daftt_core.cli.settings import FiniteRange
from daftt_core.records import visible_line
from daftt_core.storage import open_storage


@click.command("clean", short_help="Remove what nothing refers to from a run.")
@click.argument("uri")
@click.option(
    "--older-than",
    "hours",
    type=FiniteRange(min=0),
    default=24.0,
    show_default=True,
    help="Hours; what was written or replaced since then stays.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def clean_command(uri: str, hours: float, dry_run: bool, as_json: bool) -> None:
    """Remove results that were made anew, and what interrupted work left, from a run in a bucket.

    URI is the run, such as gs://bucket/daftt/my-run. What a finished stage refers to stays, and so
    does the progress of a stage that is not finished. In a folder, of a run or a registry, only
    the unfinished files of killed processes are left over, whenever they were written.

    \b
    Examples:
      daftt clean gs://my-bucket/daftt/my-run --dry-run
      daftt clean gs://my-bucket/daftt/my-run --older-than 2
    """
    from daftt_core.workspace.garbage import find_leftovers

    storage = open_storage(uri)
    found = find_leftovers(storage, hours * 3600)
    if not dry_run:
        storage.delete(found)
    fate = "would be removed" if dry_run else "removed"
    if as_json:
        sizes = {name: entry.size for name, entry in found.items()}
        say_json({"fate": fate, "bytes": sizes})
        return
    for name in found:
        say(visible_line(f"{fate} {storage.uri}/{name}"))
    size = sum(entry.size for entry in found.values())
    say(f"{storage.uri}: {len(found)} objects, {size / 1e9:.3f} GB {fate}")
