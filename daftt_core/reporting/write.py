"""Write the report, a stage of its own, and the summary that an exit handler keeps of a run."""

from __future__ import annotations

from pathlib import Path

from daftt_core.errors import StorageError
from daftt_core.notifications import TITLES, Ending
from daftt_core.records import escape_markdown, visible_line, write_text
from daftt_core.reporting.card import DATA_CARD, write_card
from daftt_core.reporting.data import collect
from daftt_core.reporting.page import look, render
from daftt_core.stages import REPORT, ReportResult
from daftt_core.storage import open_storage
from daftt_core.telemetry import duration
from daftt_core.workspace import (
    Run,
    StageResult,
    StageStatus,
    run_stage,
    run_statuses,
    stage_manifest,
)

SUMMARY = "summary.md"


def write_report(run: Run) -> StageResult[ReportResult]:
    """Write ``report/report.html``, and ``report/data-card.md`` if there are synthetic examples.

    A run that failed or was stopped has a report too, which says what is missing and why. A report
    that is up to date is left as it is.

    Raises:
        StorageError: A finished stage's file is missing or was changed, or the report cannot be
            written.
        DataError: A stage's file of examples does not hold what it should.
    """
    data = collect(run)

    def work(folder: Path) -> ReportResult:
        write_text(folder / "report.html", render(data))
        if data.curation:
            write_text(folder / DATA_CARD, write_card(data))
        return ReportResult(
            headline=data.untrained or (data.evaluation.headline if data.evaluation else ""),
            missing=tuple(stage.name for stage in data.missing),
        )

    return run_stage(run, REPORT, [data, look()], work)


def summarize(run: Run | None, ending: Ending) -> str:
    """Describe how a run ended, as Markdown; it is kept in the run's folder too.

    Args:
        run: The run; None when its settings make none.
        ending: How it ended.

    Raises:
        StorageError: The run's folder cannot be read or written.
    """
    title = f"# {TITLES[ending.outcome]}"
    if run is None:
        return _lines(title, escape_markdown(ending.sentence))
    statuses = run_statuses(run)
    place = visible_line(run.uri).replace("`", "'")
    text = _lines(
        f"{title}: {escape_markdown(run.name)}",
        escape_markdown(ending.sentence),
        "\n".join(["| stage | state | time |", "|---|---|---|", *(_row(run, s) for s in statuses)])
        if statuses
        else "No stage has begun.",
        f"All of it is in `{place}`",
    )
    if statuses:
        open_storage(run.uri).write(SUMMARY, text.encode())
    return text


def _lines(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(run: Run, status: StageStatus) -> str:
    try:
        manifest = stage_manifest(run, status.stage)
    except StorageError:
        manifest = None
    time = duration(manifest.seconds) if manifest and status.state == "done" else ""
    return f"| {status.stage} | {status.state} | {time} |"
