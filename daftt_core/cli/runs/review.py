"""``daftt review``: people look at some of what curation kept."""

from __future__ import annotations

from pathlib import Path

import click

from daftt_core.cli.printing import say
from daftt_core.cli.runs.report import find_run, read_run, report_path
from daftt_core.storage import open_storage


@click.command("review", short_help="Let people check a sample of the kept examples.")
@click.argument("run", metavar="[RUN]", default="latest")
@click.option(
    "--output",
    default="runs",
    show_default=True,
    help="Folder, or prefix in a bucket, where runs are looked for.",
)
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
    "--read", "marked", type=click.Path(path_type=Path), help="Read a marked sheet instead."
)
def review_command(
    run: str, output: str, count: int, sheet: Path | None, marked: Path | None
) -> None:
    """Write a sheet of kept examples, or read one that people have marked.

    RUN is a run's folder, its place in a bucket, its name, or 'latest' (the default). The sheet is
    a CSV file for any spreadsheet program. In each row write y or n for: label_ok (is the label
    right?), hallucination (does the text state what cannot be so?), usable (can one learn from
    it?). The rates of faults, with 95% intervals, then become a part of the report.

    \b
    Examples:
      daftt review latest
      daftt review latest --read runs/movie-reviews-1a2b3c4d/review.csv
    """
    from daftt_core.curation import make_sheet, read_marks
    from daftt_core.reporting import review_table, write_report

    found = read_run(find_run(run, output))
    if marked is None:
        path = sheet or (open_storage(found.uri).folder or Path()) / "review.csv"
        written = make_sheet(found, path, count)
        say(f"{path}: {written} examples; mark them, then: daftt review {found.uri} "
                   f"--read {path}")  # fmt: skip
        return
    read_marks(found, marked)
    write_report(found)
    say(review_table(found))
    say(report_path(found))
