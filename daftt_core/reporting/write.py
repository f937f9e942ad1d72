"""The stage that writes the report."""

from __future__ import annotations

from pathlib import Path

from daftt_core.records import write_text
from daftt_core.reporting.card import DATA_CARD, write_card
from daftt_core.reporting.data import collect
from daftt_core.reporting.page import look, render
from daftt_core.stages import REPORT, ReportResult
from daftt_core.workspace import Run, StageResult, run_stage

__all__ = ["write_report"]


def write_report(run: Run) -> StageResult[ReportResult]:
    """Write ``report/report.html`` and ``report/data-card.md`` from the files of the run's stages.

    The latter is the synthetic examples' data card, and only where there are such examples.

    It works for a run that failed or was stopped as well: the report then says what is missing
    and why. A report that says the same already is left as it is.

    Args:
        run: The run.

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
