"""``daftt run``: the compiled pipeline, stage by stage, on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daftt_core.cli.local.launch import Attempt, Interrupted, compiled_pipeline, run_pipeline
from daftt_core.cli.local.outcome import StoppedError, explain_failure, forget_failure
from daftt_core.cli.local.watch import Watch, display_for
from daftt_core.cli.printing import PlainConsole, say, say_json
from daftt_core.cli.runs.report import report_path
from daftt_core.cli.settings import SettingsCommand, read_config, with_settings
from daftt_core.config import Config, to_flat
from daftt_core.errors import DafttError
from daftt_core.storage import open_storage
from daftt_core.telemetry import duration

if TYPE_CHECKING:
    from daftt_core.workspace import Run


@click.command("run", cls=SettingsCommand, short_help="Run the whole pipeline on this machine.")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def run_command(settings_file: Path | None, as_json: bool, **given: Any) -> int:
    """Run the whole pipeline here and compare students with and without the teacher's help.

    Without options it runs the built-in demo. All settings are checked before anything starts.
    The same command goes on where an interrupted run stopped. With an --output in a bucket the work
    is done here and its results are stored there.

    \b
    Examples:
      daftt run
      daftt run --student-seeds 5 --synthesis-mode annotate
      daftt run --task my-task.yaml --data-train my.csv --name first-try
      daftt run --settings my-settings.yaml --json > result.json
    """
    started = time.monotonic()
    try:
        run = _run(read_config(settings_file, given))
    except (DafttError, StoppedError) as error:
        if as_json:
            say_json(_failure(error))
        raise
    _show(run, time.monotonic() - started, as_json)
    return 0


def _run(config: Config) -> Run:
    from daftt_core.preflight import check_settings, resolve
    from daftt_core.workspace import working_folder

    run = resolve(config)
    check_settings(config, run)
    compiled = compiled_pipeline()
    folder = working_folder(run)
    forget_failure(folder)
    attempt = Attempt(folder)
    console = PlainConsole(stderr=True)
    console.print(f"The run's folder is {_place(run)}", soft_wrap=True)
    display = display_for(console)
    try:
        form = {"settings": to_flat(config)}
        code = run_pipeline(attempt, compiled, form, Watch(attempt, display).look)
    except Interrupted as interrupted:
        raise StoppedError(interrupted.number) from None
    finally:
        display.close()
    if code != 0:
        raise explain_failure(attempt)
    return run


def _show(run: Run, seconds: float, as_json: bool) -> None:
    from daftt_core.evaluation import read_evaluation
    from daftt_core.reporting import collect, stage_table, summary_table

    data = collect(run)
    # what an earlier run of this folder has found is not this one's result
    evaluation = None if data.untrained else read_evaluation(run)
    decided = None if data.untrained else data.promotion
    if as_json:
        result = {
            "status": "done",
            "folder": _place(run),
            "seconds": round(seconds, 1),
            "report": str(report_path(run)),
            "trigger": data.trigger.model_dump(mode="json") if data.trigger else None,
            "evaluation": evaluation.model_dump(mode="json") if evaluation else None,
            "promotion": decided.model_dump(mode="json") if decided else None,
        }
        say_json(result)
        return
    if evaluation:
        say(f"\n{summary_table(evaluation)}\n\n{evaluation.headline}\n")
    else:
        say(f"\n{data.untrained}\n")
    if decided:
        say(f"{decided.reason}\n")
    say(stage_table(run))
    say(f"\nTime on the clock: {duration(seconds)} (some stages run side by side)")
    say(f"Report: {report_path(run)}")


def _place(run: Run) -> str:
    folder = open_storage(run.uri).folder
    return str(folder) if folder else run.uri


def _failure(error: DafttError | StoppedError) -> dict[str, object]:
    status = "stopped" if isinstance(error, StoppedError) else "failed"
    return {"status": status, "message": str(error), "exit_code": error.exit_code}
