"""The doctor's checks: what this machine lacks for a run, and how results are shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version
from rich.text import Text

from daftt_core.cli.local.launch import compiled_pipeline
from daftt_core.cli.printing import say, say_json
from daftt_core.cli.tables import new_table, show_table
from daftt_core.config import Config
from daftt_core.errors import DafttError
from daftt_core.planning import disk_bytes

_PROJECT = Path(__file__).parents[2]
_INSTALL = 'python -m pip install -c constraints.txt -e ".[train]"'
_NEEDED_MEMORY_BYTES = 6_000_000_000


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was checked.
        ok: Whether it is as it should be.
        found: What was found.
        fix: The command that fixes it; empty if there is nothing to fix.
        needed: Whether a run fails without it.
    """

    name: str
    ok: bool
    found: str
    fix: str = ""
    needed: bool = True


def show_checks(checks: Sequence[Check], *, as_json: bool) -> bool:
    """Show checks, and tell whether everything that a run needs is in place."""
    missing = [check for check in checks if check.needed and not check.ok]
    if as_json:
        say_json({"ok": not missing, "checks": [asdict(check) for check in checks]})
        return not missing
    table = new_table(["what", "state", "found", "fix it with"])
    for check in checks:
        state, colour = ("missing", "red") if check.needed else ("note", "yellow")
        if check.ok:
            state, colour = "ok", "green"
        table.add_row(check.name, Text(state, colour), check.found, check.fix)
    show_table(table)
    all_is_well = "Everything a run needs is in place."
    say(f"{len(missing)} missing; the last column says how to fix it." if missing else all_is_well)
    return not missing


def machine_checks() -> list[Check]:
    """Check everything that a run needs of this machine."""
    return [check() for check in _CHECKS]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return Check("Python", ok, found, "" if ok else "rm -rf .venv && make setup PYTHON=python3.11")


def _packages() -> Check:
    problems, count = [], 0
    for text in metadata.requires("daftt") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": "train"}):
            continue
        count += 1
        installed = _installed(requirement.name)
        if installed is None:
            problems.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(installed, prereleases=True):
            problems.append(f"{requirement.name} is {installed}, not {requirement.specifier}")
    if problems:
        return Check("packages", False, "; ".join(problems), _INSTALL)
    return Check("packages", True, f"all {count} are installed")


def _pins() -> Check:
    path = _PROJECT / "constraints.txt"
    if not path.is_file():
        return Check("pinned versions", True, "not installed from a clone", needed=False)
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    different = [
        f"{name} is {installed}, pinned {pin}"
        for name, pin in pins.items()
        if (installed := _installed(name)) and Version(installed).public != Version(pin).public
    ]
    if different:
        return Check("pinned versions", False, "; ".join(different), _INSTALL, needed=False)
    return Check("pinned versions", True, "as in constraints.txt", needed=False)


def _torch() -> Check:
    # in a process of its own: importing torch takes seconds and gigabytes, and may crash
    script = (
        "import torch; print(torch.__version__, "
        "torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'no GPU', sep=', ')"
    )
    process = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, errors="replace"
    )
    if process.returncode == 0:
        return Check("torch", True, process.stdout.strip())
    last_line = (process.stderr.strip() or "it ended without output").splitlines()[-1]
    return Check("torch", False, f"cannot be imported: {last_line}", _INSTALL)


def _assets() -> Check:
    from daftt_core.storage import assets, cache_folder

    missing = [name for name in assets.known_assets() if assets.verify(name) is None]
    if missing:
        found = f"not in {cache_folder()}: {', '.join(missing)}"
        return Check("models and data", False, found, f"daftt fetch {' '.join(missing)}")
    return Check("models and data", True, f"{', '.join(assets.known_assets())}")


def _pipeline() -> Check:
    from daftt_core.cli.authoring.compile import PIPELINES, is_up_to_date

    try:
        paths = [compiled_pipeline(name) for name in PIPELINES]
        old = [path for path in paths if not is_up_to_date(path)]
    except (DafttError, ImportError) as error:
        return Check("compiled pipelines", False, str(error), "daftt compile")
    if old:
        found = f"older than the code: {', '.join(map(str, old))}"
        return Check("compiled pipelines", False, found, "daftt compile")
    return Check("compiled pipelines", True, ", ".join(map(str, paths)))


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ok = total >= _NEEDED_MEMORY_BYTES
    fix = "" if ok else "daftt run --teacher-batch-size 4 --synthesis-batch-size 8"
    return Check("memory", ok, f"{total / 1e9:.1f} GB", fix, needed=False)


def _disk() -> Check:
    free, needed = shutil.disk_usage(Path.cwd()).free, disk_bytes(Config())
    ok = free >= needed
    fix = "" if ok else "daftt run --output FOLDER_WITH_SPACE"
    found = f"{free / 1e9:.1f} GB free here; a run of the demo needs {needed / 1e9:.1f} GB"
    return Check("disk", ok, found, fix)


_CHECKS: tuple[Callable[[], Check], ...] = (
    _python,
    _packages,
    _pins,
    _torch,
    _assets,
    _pipeline,
    _memory,
    _disk,
)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
