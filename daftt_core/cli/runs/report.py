"""``daftt report``: the report of a run that is finished, made anew and opened."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from daftt_core.cli.printing import say
from daftt_core.cli.runs.stored_runs import find_runs
from daftt_core.errors import StorageError, did_you_mean
from daftt_core.records import explain
from daftt_core.stages import PREFLIGHT, REPORT
from daftt_core.storage import open_storage

if TYPE_CHECKING:
    from daftt_core.workspace import Run

_LATEST = "latest"


@click.command("report", short_help="Write a run's report anew and show it.")
@click.argument("run", metavar="[RUN]", default=_LATEST)
@click.option(
    "--output",
    default="runs",
    show_default=True,
    help="Folder, or prefix in a bucket, where runs are looked for.",
)
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
def report_command(run: str, output: str, opens: bool) -> None:
    """Write a run's report anew from its files, and print the report's path.

    RUN is a run's folder, its place in a bucket, its name, or 'latest' (the default). The report of
    a run in a bucket is written there and fetched.

    \b
    Examples:
      daftt report latest --open
      daftt report movie-reviews-1a2b3c4d
      daftt report gs://my-bucket/daftt/my-run --open
    """
    from daftt_core.reporting import write_report

    found = read_run(find_run(run, output))
    write_report(found)
    path = report_path(found)
    say(path)
    if opens and not webbrowser.open(path.as_uri()):
        raise click.ClickException(f"no browser could be started; open {path} yourself")


def report_path(run: Run) -> Path:
    """The report's file on this machine, as an absolute path.

    Raises:
        StorageError: There is none.
    """
    from daftt_core.workspace import read_stage

    return (read_stage(run, REPORT)[0] / "report.html").resolve()


def read_run(uri: str) -> Run:
    """The run that lives in a folder or bucket, wherever that is now.

    Raises:
        StorageError: There is no run in it, it broke off before its settings were checked, or what
            is known of it is damaged.
    """
    from daftt_core.workspace import Run, read_file

    text = read_file(uri, PREFLIGHT, "run.json")
    if text is None:
        raise StorageError(f"{uri}: there is no run in it whose settings passed the preflight")
    try:
        return Run.model_validate_json(text).model_copy(update={"uri": uri})
    except ValidationError as error:
        reason = ": ".join(filter(None, next(explain(error, Run))))
        file = f"{uri.rstrip('/')}/preflight/run.json"
        raise StorageError(f"{file}: is not a run of this version of DAFTT: {reason}") from None


def find_run(name: str, output: str) -> str:
    """The folder or URI of a run, from its folder, its place in a bucket, its name, or 'latest'.

    Args:
        name: What was typed.
        output: Folder or prefix under which runs are looked for.

    Raises:
        StorageError: There is no such run.
    """
    if name == _LATEST:
        runs = find_runs(output)
        if not runs:
            raise StorageError(f"{output}: there is no run in it; start one with: daftt run")
        return runs[0].folder
    for uri in (name,) if "://" in name else (name, f"{output.rstrip('/')}/{name}"):
        storage = open_storage(uri)
        if storage.folder.is_dir() if storage.folder else storage.folders():
            return uri
    known = [run.name for run in find_runs(output)]
    raise StorageError(
        f"{name}: there is no such folder, and no such run in {output}{did_you_mean(name, known)}"
    )
