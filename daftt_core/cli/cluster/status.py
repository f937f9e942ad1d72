"""``daftt status``: how far a run on a cluster is, and how it ended and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from daftt_core.cli.cluster.connection import Connection, with_connection
from daftt_core.cli.cluster.endings import part_ending, part_statuses
from daftt_core.cli.cluster.remote import ENDED, connect, seconds_of, state_of
from daftt_core.cli.cluster.remote_runs import RunPart, find_run, runs_of
from daftt_core.cli.cluster.steps import RemoteStep, remote_steps
from daftt_core.cli.commands import IN_PROGRESS
from daftt_core.cli.printing import say, say_json, with_json
from daftt_core.cli.tables import new_table, show_table
from daftt_core.errors import DafttError, RemoteError
from daftt_core.notifications import Ending
from daftt_core.records import visible_line
from daftt_core.telemetry import duration
from daftt_core.workspace import StageStatus, stage_manifest

_UNREMARKABLE = ("succeeded", "skipped", "cached", "running")


@dataclass(frozen=True)
class _Stage:
    """A line about a stage.

    Attributes:
        stage: Its name; of a sweep with the cell's before it.
        state: Whether it is running, done or failed.
        seconds: How long it worked, or has worked so far; None where that is not known.
        message: Why it failed, or how far it is.
    """

    stage: str
    state: str
    seconds: float | None
    message: str


@dataclass
class _Folders:
    """What the folders of a run tell: one, or one for each cell of a sweep.

    Attributes:
        uris: Where they are.
        stages: Their stages.
        endings: How it ended, by cell; the name of a run that is no sweep's is empty.
    """

    uris: list[str] = field(default_factory=list)
    stages: list[_Stage] = field(default_factory=list)
    endings: dict[str, Ending] = field(default_factory=dict)


@click.command("status")
@click.argument("run")
@with_connection
@with_json
def status_command(run: str, connection: Connection, as_json: bool) -> int:
    """Show how far RUN is, how it ended and why.

    RUN is an id, or a name as 'daftt runs --remote' lists it. Stages are read from the run's folder
    in the bucket; then come the steps that have failed or do not start, from the run's pods or from
    Kubeflow Pipelines. The exit code is 0 for a run that succeeded, 11 for one that is in progress,
    that of the stage that failed, and 10 for any other end.

    \b
    Examples:
      daftt status movie-reviews-1a2b3c4d
      daftt status 0b7f6a52-5a3f-4c6c-9f0e-0d8a2b3c4d5e --json
    """
    remote = connect(connection)
    found = find_run(remote, run)
    steps = [step for step in remote_steps(remote, found) if step.state not in _UNREMARKABLE]
    reasons = "; ".join(f"{step.task}: {step.reason}" for step in steps if step.reason)
    folders, link = _read_folders(found, reasons), remote.run_link(found.run_id)
    if as_json:
        say_json(_fields(found, folders, steps, link))
    else:
        _show(found, folders, steps, link)
    return _exit_code(found, folders)


def _read_folders(run: Any, reasons: str) -> _Folders:
    folders = _Folders()
    try:
        for part in runs_of(run):
            folders.uris.append(part.run.uri)
            statuses = part_statuses(part)
            folders.stages += [
                _stage(part, status)
                for status in statuses
                # others are of an earlier run in this folder, and are to be done again
                if status.state == "done" or status.updated >= run.created_at.timestamp()
            ]
            if run.state in ENDED and (ending := part_ending(run, part, statuses, reasons)):
                folders.endings[part.name] = ending
    except DafttError as error:
        say(visible_line(f"# the run's folder cannot be read from here: {error}"), err=True)
    return folders


def _stage(part: RunPart, status: StageStatus) -> _Stage:
    manifest = stage_manifest(part.run, status.stage) if status.state == "done" else None
    seconds = manifest.seconds if manifest else None
    if status.state == "running":
        seconds = time.time() - status.updated
    message = status.message or str(status.progress or "")
    return _Stage(part.named(status.stage), status.state, seconds, message)


def _state(run: Any) -> str:
    return state_of(run).lower()


def _show(run: Any, folders: _Folders, steps: Sequence[RemoteStep], link: str) -> None:
    word = "after" if run.state in ENDED else "for"
    say(visible_line(f"{run.display_name}: {_state(run)} {word} {duration(seconds_of(run))}"))
    say(link)
    for uri in folders.uris:
        say(visible_line(uri))
    if folders.stages:
        table = new_table(["stage", "state", "time", ""])
        for stage in folders.stages:
            took = "" if stage.seconds is None else duration(stage.seconds)
            table.add_row(visible_line(stage.stage), stage.state, took, visible_line(stage.message))
        show_table(table)
    for step in steps:
        reason = f": {step.reason}" if step.reason else ""
        say(visible_line(f"step {step.task}: {step.state}{reason}"))
    for name, ending in folders.endings.items():
        cell = f"{name}: " if name else ""
        say(visible_line(f"{cell}{ending.outcome}: {ending.sentence}"))
    if run.state in ENDED and run.state != "SUCCEEDED":
        say(f"see: daftt logs {run.run_id} --failed --tail 20")


def _fields(run: Any, folders: _Folders, steps: Sequence[RemoteStep], link: str) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.display_name,
        "state": _state(run),
        "seconds": round(seconds_of(run), 1),
        "link": link,
        "folders": folders.uris,
        "stages": [asdict(stage) for stage in folders.stages],
        "steps": [
            {"step": step.task, "state": step.state, "reason": step.reason} for step in steps
        ],
        "endings": [
            {"cell": name, "outcome": ending.outcome, "sentence": ending.sentence}
            for name, ending in folders.endings.items()
        ],
    }


def _exit_code(run: Any, folders: _Folders) -> int:
    if run.state not in ENDED:
        return IN_PROGRESS
    if run.state == "SUCCEEDED":
        return 0
    failures = [failure for ending in folders.endings.values() for failure in ending.failures]
    return next((each.exit_code for each in failures if each.exit_code), RemoteError.exit_code)
