"""``daftt fetch``: the bundled models and data, brought into the cache."""

from __future__ import annotations

import click
from rich.text import Text

from daftt_core.cli.printing import PlainConsole, say
from daftt_core.records import visible_line


@click.command("fetch", short_help="Fetch the bundled models and data.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def fetch_command(names: tuple[str, ...]) -> None:
    """Fetch the bundled models and data; without a NAME, all of them.

    What is in the cache already is checked and not fetched again. The cache is ~/.cache/daftt, or
    the folder that the environment variable DAFTT_CACHE names.

    \b
    Examples:
      daftt fetch
      daftt fetch all-minilm-l6-v2
    """
    from daftt_core.storage import assets

    console = PlainConsole(stderr=True)
    for name in names or assets.known_assets():
        if not console.is_terminal:
            console.print(f"{name}: checking the cache, fetching if needed")
        with console.status(Text(visible_line(f"{name}: fetching"))):
            path = assets.fetch(name)
        say(f"{name}: {path}")
