"""What the doctor found, on this machine or in a cluster, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from daftt_core.cli.printing import say, say_json, show_table


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        ok: Whether it is as it should be.
        found: What was found.
        mend: The command that mends it; empty when it is right.
        needed: Whether a run fails without it.
    """

    name: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True


def show_checks(checks: Sequence[Check], *, as_json: bool) -> bool:
    """Show checks, and tell whether everything that a run needs is in place."""
    missing = [check for check in checks if check.needed and not check.ok]
    if as_json:
        say_json({"ok": not missing, "checks": [asdict(check) for check in checks]})
    else:
        show_table(_table(checks))
        well = "Everything a run needs is in place."
        say(f"{len(missing)} missing; see above what mends it." if missing else well)
    return not missing


def _table(checks: Sequence[Check]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("what", "state", "found", "mend it with"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        state, colour = ("missing", "red") if check.needed else ("note", "yellow")
        if check.ok:
            state, colour = "ok", "green"
        table.add_row(check.name, Text(state, colour), check.found, check.mend)
    return table
