"""``daftt run``: the compiled pipeline, stage by stage, on this machine."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daftt_core.cli.local.launch import Attempt, StoppedError, compiled_pipeline
from daftt_core.cli.local.marks import forget_failure
from daftt_core.cli.local.outcome import explain_failure
from daftt_core.cli.local.outline import outline_of
from daftt_core.cli.local.watch import run_and_show
from daftt_core.cli.printing import say, say_json
from daftt_core.cli.runs.report import report_path
from daftt_core.cli.runs.stored_runs import latest_like
from daftt_core.cli.settings import SettingsCommand, read_config, with_settings
from daftt_core.config import Config, to_flat
from daftt_core.errors import DafttError
from daftt_core.storage import open_storage
from daftt_core.telemetry import duration

if TYPE_CHECKING:
    from daftt_core.workspace import Run


@click.command("run", cls=SettingsCommand)
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def run_command(settings_file: Path | None, as_json: bool, **options: Any) -> None:
    """Run the whole pipeline here and compare students with and without the teacher's help.

    Without options it runs the built-in demo. All settings are checked before anything starts.
    The same command resumes an interrupted run. With an --output in a bucket the work is done here
    and its results are stored there.

    \b
    Examples:
      daftt run
      daftt run --student-seeds 5 --synthesis-mode annotate
      daftt run --task my-task.yaml --data-train my.csv --name first-try
      daftt run --settings my-settings.yaml --json > result.json
    """
    started = time.monotonic()
    try:
        run = _run(read_config(settings_file, options))
    except (DafttError, StoppedError) as error:
        if as_json:
            say_json(_failure(error))
        raise
    _show(run, time.monotonic() - started, as_json)


def _run(config: Config) -> Run:
    from daftt_core.preflight import resolve_checked
    from daftt_core.workspace import working_folder

    run = resolve_checked(config)
    compiled = compiled_pipeline()
    folder = working_folder(run)
    forget_failure(folder)
    attempt = Attempt(folder)
    introduction = f"The run's folder is {_place(run)}"
    outline = outline_of(config, run, latest_like(run))
    parameters = {"settings": to_flat(config)}
    if run_and_show(attempt, compiled, parameters, introduction, outline=outline) != 0:
        raise explain_failure(attempt)
    return run


def _show(run: Run, seconds: float, as_json: bool) -> None:
    from daftt_core.reporting import collect, stage_table, summary_table

    data = collect(run)
    trigger = data.trigger
    # the results of an earlier run in this folder are not this one's
    evaluation = None if data.untrained else data.evaluation
    promotion = None if data.untrained else data.promotion
    if as_json:
        result = {
            "status": "done",
            "folder": _place(run),
            "seconds": round(seconds, 1),
            "report": str(report_path(run)),
            "trigger": {"train": trigger.train, "reason": trigger.reason} if trigger else None,
            "evaluation": evaluation.model_dump(mode="json") if evaluation else None,
            "promotion": promotion.model_dump(mode="json") if promotion else None,
        }
        say_json(result)
        return
    say(f"\n{stage_table(data.stages)}")
    say(f"\nWall time: {duration(seconds)} (some stages run side by side)")
    if evaluation:
        say(f"\n{summary_table(evaluation)}\n\n{evaluation.headline}")
    else:
        say(f"\n{data.untrained}")
    if promotion:
        say(f"\n{promotion.reason}")
    say(f"\nReport: {report_path(run)}")
    if evaluation:
        place = shlex.quote(_place(run))
        say(f"Label texts:  daftt predict {place} FILE")
        say(f"Serve it:     daftt export {place} FOLDER")


def _place(run: Run) -> str:
    folder = open_storage(run.uri).folder
    return str(folder) if folder else run.uri


def _failure(error: DafttError | StoppedError) -> dict[str, object]:
    status = "stopped" if isinstance(error, StoppedError) else "failed"
    return {"status": status, "message": str(error), "exit_code": error.exit_code}
