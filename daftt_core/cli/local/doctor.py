"""``daftt doctor``: what is installed, what is missing, and the command that mends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import click
from packaging.requirements import Requirement
from packaging.version import Version
from rich.table import Table
from rich.text import Text

from daftt_core.cli.local.launch import compiled_pipeline
from daftt_core.cli.printing import say, say_json, show_table
from daftt_core.cli.settings import read_config
from daftt_core.config import Config
from daftt_core.errors import DafttError
from daftt_core.planning import disk_bytes

__all__ = ["Check", "doctor_command"]

_PROJECT = Path(__file__).parents[3]
_INSTALL = 'python -m pip install -c constraints.txt -e ".[train]"'
_NEEDED_MEMORY_BYTES = 6_000_000_000


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


@click.command("doctor", short_help="Check that everything a run needs is in place.")
@click.option("--cluster", is_flag=True, help="Look at a cluster instead of this machine.")
@click.option(
    "--namespace",
    default="kubeflow",
    show_default=True,
    envvar="DAFTT_KFP_NAMESPACE",
    show_envvar=True,
    help="With --cluster: where the pods run.",
)
@click.option(
    "--service-account",
    default="",
    envvar="DAFTT_KFP_SERVICE_ACCOUNT",
    show_envvar=True,
    help="With --cluster: as whom they run; empty: your own rights are looked at.",
)
@click.option("--queue", default="", help="With --cluster: Kueue's queue that jobs go to.")
@click.option("--output", help="With --cluster: the storage prefix to try.")
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --cluster: YAML file of the run's settings, for its GPUs, secrets and storage.",
)
@click.option(
    "--preset", metavar="NAME", multiple=True, help="With --cluster: the presets of that run."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(
    cluster: bool,
    namespace: str,
    service_account: str,
    queue: str,
    output: str | None,
    settings_file: Path | None,
    preset: tuple[str, ...],
    as_json: bool,
) -> int:
    """Check that everything a run needs is in place; exit code 1 when something is missing.

    \b
    Examples:
      daftt doctor
      daftt doctor --json
      daftt doctor --cluster --output gs://my-bucket/daftt --service-account pipeline-runner
    """
    if cluster:
        from daftt_core.cli.cluster.doctor import Asked, cluster_checks

        config = read_config(settings_file, {"output": output, "preset": preset})
        checks = cluster_checks(Asked(config, namespace, service_account, queue))
    else:
        checks = [look() for look in _LOOKS]
    missing = [check for check in checks if check.needed and not check.ok]
    if as_json:
        say_json({"ok": not missing, "checks": [asdict(c) for c in checks]})
    else:
        show_table(_table(checks))
        well = "Everything a run needs is in place."
        say(f"{len(missing)} missing; see above what mends it." if missing else well)
    return 1 if missing else 0


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
    other = [
        f"{name} is {installed}, pinned {pin}"
        for name, pin in pins.items()
        if (installed := _installed(name)) and Version(installed).public != Version(pin).public
    ]
    if other:
        return Check("pinned versions", False, "; ".join(other), _INSTALL, needed=False)
    return Check("pinned versions", True, "as in constraints.txt", needed=False)


def _torch() -> Check:
    # in a process of its own: importing torch takes seconds and gigabytes, and may crash
    script = (
        "import torch; print(torch.__version__, "
        "torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'no GPU', sep=', ')"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, errors="replace"
    )
    if done.returncode == 0:
        return Check("torch", True, done.stdout.strip())
    last = (done.stderr.strip() or "it ended without a word").splitlines()[-1]
    return Check("torch", False, f"cannot be imported: {last}", _INSTALL)


def _assets() -> Check:
    from daftt_core.storage import assets

    missing = [name for name in assets.known_assets() if assets.verify(name) is None]
    if missing:
        found = f"not in {assets.cache_folder()}: {', '.join(missing)}"
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
    mend = "" if ok else "daftt run --teacher-batch-size 4 --synthesis-batch-size 8"
    return Check("memory", ok, f"{total / 1e9:.1f} GB", mend, needed=False)


def _disk() -> Check:
    free, needed = shutil.disk_usage(Path.cwd()).free, disk_bytes(Config())
    ok = free >= needed
    mend = "" if ok else "daftt run --output FOLDER_WITH_SPACE"
    found = f"{free / 1e9:.1f} GB free here; a run of the demo asks for {needed / 1e9:.1f} GB"
    return Check("disk", ok, found, mend)


_LOOKS: tuple[Callable[[], Check], ...] = (
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
