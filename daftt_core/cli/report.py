"""``daftt report``: the report of a run that is finished, made anew and opened."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daftt_core.cli.runs import find_runs
from daftt_core.errors import StorageError, did_you_mean
from daftt_core.storage import local_folder, read_manifest

if TYPE_CHECKING:
    from daftt_core.workspace import Run

__all__ = ["find_run", "read_run", "report_command", "report_path"]

_LATEST = "latest"


@click.command("report", short_help="Write a run's report anew and show it.")
@click.argument("run_folder", default=_LATEST)
@click.option(
    "--output", default="runs", show_default=True, help="Folder where runs are looked for."
)
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
def report_command(run_folder: str, output: str, opens: bool) -> None:
    """Write a run's report anew from its files, and print the report's path.

    RUN_FOLDER is a run's folder, its name, or 'latest' (the default).

    \b
    Examples:
      daftt report latest --open
      daftt report movie-reviews-1a2b3c4d
    """
    from daftt_core.reporting import write_report

    run = read_run(find_run(run_folder, local_folder(output)))
    write_report(run)
    path = report_path(run)
    click.echo(path)
    if opens and not webbrowser.open(path.as_uri()):
        raise click.ClickException(f"no browser could be started; open {path} yourself")


def report_path(run: Run) -> Path:
    """The report's file, as an absolute path."""
    return (run.folder / "report" / "report.html").resolve()


def read_run(folder: Path) -> Run:
    """The run that lives in ``folder``, wherever that folder is now.

    Raises:
        StorageError: There is no run in it, or it broke off before its settings were checked.
    """
    from daftt_core.workspace import Run

    if read_manifest(folder / "preflight") is None:
        raise StorageError(f"{folder}: there is no run in it whose settings passed the preflight")
    text = (folder / "preflight" / "run.json").read_text(encoding="utf-8")
    return Run.model_validate_json(text).model_copy(update={"uri": str(folder)})


def find_run(name: str, output: Path) -> Path:
    """The folder of a run, from its folder, its name, or 'latest'.

    Args:
        name: What was typed.
        output: Folder under which runs are looked for.

    Raises:
        StorageError: There is no such run.
    """
    if name == _LATEST:
        runs = find_runs(output)
        if not runs:
            raise StorageError(f"{output}: there is no run in it; start one with: daftt run")
        return Path(runs[0].folder)
    for folder in (local_folder(name), output / name):
        if folder.is_dir():
            return folder
    known = [run.name for run in find_runs(output)]
    raise StorageError(
        f"{name}: there is no such folder, and no such run in {output}{did_you_mean(name, known)}"
    )
