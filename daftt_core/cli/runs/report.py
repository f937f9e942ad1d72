"""``daftt report``, ``review`` and ``notify``: show the results of a run, have people check it."""

from __future__ import annotations

import shlex
import webbrowser
from pathlib import Path
from typing import Literal

import click

from daftt_core.cli.printing import say, say_json
from daftt_core.cli.runs.stored_runs import find_run, read_run, read_stored_run, with_run
from daftt_core.errors import ConfigError
from daftt_core.notifications import URL_VARIABLE, Ending, body_of, ending_of, example_ending, send
from daftt_core.records import digest, write_text
from daftt_core.stages import CURATED, REPORT
from daftt_core.storage import cache_folder, open_storage
from daftt_core.workspace import Run, content_uri, read_stage


@click.command("report")
@with_run()
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
def report_command(run: str, output: str, opens: bool) -> None:
    """Rebuild a run's report from its files, and print the report's path.

    RUN is a run's folder, its URI in a bucket, its name, or 'latest' (the default). The report of
    a run in a bucket is written there and fetched. The report of a run that has not ended well is
    written into the cache on this machine, and nothing in the run's folder changes.

    \b
    Examples:
      daftt report latest --open
      daftt report movie-reviews-1a2b3c4d
      daftt report gs://my-bucket/daftt/my-run --open
    """
    uri = find_run(run, output)
    path = _report(read_run(uri), uri)
    say(path)
    if opens and not webbrowser.open(path.as_uri()):
        raise click.ClickException(f"no browser could be started; open {path} yourself")


def _report(run: Run, uri: str) -> Path:
    from daftt_core.reporting import collect, render, write_report

    stored = read_stored_run(uri)
    if stored and stored.status == "done":
        write_report(run)
        return report_path(run)
    path = cache_folder() / "reports" / f"{run.name}-{digest(uri, length=8)}" / "report.html"
    write_text(path, render(collect(run)))
    status = stored.status if stored else "unknown"
    say(f"# the run's status is {status}: its report so far is not kept with it", err=True)
    return path.resolve()


def report_path(run: Run) -> Path:
    """Return the report's file on this machine, as an absolute path.

    Raises:
        StorageError: There is none.
    """
    return (read_stage(run, REPORT)[0] / "report.html").resolve()


@click.command("review")
@with_run()
@click.option(
    "--count",
    type=click.IntRange(10, 1000),
    default=150,
    show_default=True,
    help="Examples on the sheet.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path),
    help="The sheet to write; review.csv in the run's folder, or for a run in a bucket in the "
    "current folder, if not named.",
)
@click.option(
    "--choose",
    type=click.Choice(["random", "disagreement"]),
    default="random",
    show_default=True,
    help="At random, for rates; or the labels that students who have not seen them contradict.",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(["csv", "argilla", "label-studio"]),
    default="csv",
    show_default=True,
    help="A file for spreadsheet programs, or a folder that an annotation tool imports.",
)
@click.option(
    "--read",
    "marked",
    type=click.Path(path_type=Path),
    help="Read a marked sheet instead, or what an annotation tool has exported.",
)
def review_command(
    run: str,
    output: str,
    count: int,
    sheet: Path | None,
    choose: str,
    form: Literal["csv", "argilla", "label-studio"],
    marked: Path | None,
) -> None:
    """Write a sheet of kept examples, or read one that people have marked.

    RUN is a run's folder, its URI in a bucket, its name, or 'latest' (the default). The sheet is
    a CSV file for any spreadsheet program. In each row write y or n for: label_ok (is the label
    right?), hallucination (does the text state what cannot be so?), usable (can one learn from
    it?). The rates of faults, with 95% intervals, then become a part of the report. Where the label
    is wrong, the right one may stand in the column correction: corrected examples become labels of
    a later run (data_corrections).

    --choose disagreement finds wrong labels sooner: it asks the students of the arm real, which
    learned from people's labels alone. Such a sheet gives no rates, and is a file of its own.

    --as argilla or label-studio writes a folder that the tool imports; --read takes what it exports
    (docs/review.md).

    \b
    Examples:
      daftt review latest
      daftt review latest --as label-studio
      daftt review latest --choose disagreement --count 50
      daftt review latest --read runs/movie-reviews-1a2b3c4d/review.csv
    """
    from daftt_core.curation import make_sheet, read_marks
    from daftt_core.reporting import review_table, write_report

    stored = read_run(find_run(run, output))
    contested = choose == "disagreement"
    if marked is None:
        name = "contested" if contested else "review"
        name = f"{name}.csv" if form == "csv" else f"{name}-{form}"
        path = sheet or (open_storage(stored.uri).folder or Path()) / name
        doubts = _doubts(stored) if contested else None
        examples = make_sheet(stored, path, count, doubts, None if form == "csv" else form)
        how = "--choose disagreement --read" if contested else "--read"
        back = path if form == "csv" else "EXPORT"
        say(f"{path}: {examples} examples; mark them, then: daftt review {stored.uri} {how} {back}")
        return
    read = read_marks(stored, marked, contested=contested)
    result, marks = read.summary, read.name
    if not contested:
        write_report(stored)
        say(review_table(stored))
        say(report_path(stored))
    else:
        wrong = result["all label_ok"]
        say(f"{wrong} wrong labels; no rates, as the examples were not drawn at random")
    if corrections := result["corrections"]:
        say(f"{corrections} corrections; a later run learns from them:")
        say(f"  daftt run --data-corrections {shlex.quote(_corrections(stored, marks))} ...")


def _doubts(run: Run) -> dict[str, float]:
    """Return how far students contradict each kept label."""
    from daftt_core.curation import kept_examples
    from daftt_core.registry import run_config
    from daftt_core.student import contradicted  # loads torch

    examples = list(kept_examples(read_stage(run, CURATED)[0]))
    return contradicted(run, run_config(run).student, examples)


def _corrections(run: Run, marks: str) -> str:
    """Return the place of the file of corrections in a stage of marks."""
    from daftt_core.curation import CORRECTIONS

    place = content_uri(run, marks) or str(run.folder / marks)
    return f"{place}/{CORRECTIONS}"


@click.command("notify")
@with_run("")
@click.option(
    "--format",
    "form",
    type=click.Choice(["webhook", "slack"]),
    default="webhook",
    show_default=True,
    help="Plain JSON, or Slack's.",
)
@click.option("--show", is_flag=True, help="Print the message and send nothing.")
def notify_command(run: str, output: str, form: Literal["webhook", "slack"], show: bool) -> None:
    """Send a test message, or with RUN the message about that run, and say whether it arrived.

    The URL is taken from the environment variable DAFTT_NOTIFY_URL, as at the end of a run with
    --notify-format webhook or slack.

    \b
    Examples:
      daftt notify --format slack
      daftt notify latest --show
    """
    ending = _ending(find_run(run, output)) if run else example_ending()
    if show:
        say_json(body_of(ending, form))
        return
    send(ending, form)
    say(f"The server that {URL_VARIABLE} names has taken the message.")


def _ending(uri: str) -> Ending:
    """Return how the run in a folder or bucket ended; a ConfigError where it has not."""
    run, stored = read_run(uri), read_stored_run(uri)
    if stored and stored.status == "failed":
        return ending_of(run, "FAILED", stored.headline)
    if stored and stored.status == "done":
        return ending_of(run, "SUCCEEDED")
    state = f"is {stored.status}" if stored else "does not say how far it is"
    raise ConfigError(f"{uri}: {state}; there is no message before a run has ended")
