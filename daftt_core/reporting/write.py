"""Write the report, a stage of its own, and the summary that an exit handler keeps of a run."""

from __future__ import annotations

from pathlib import Path

from daftt_core.config import Config
from daftt_core.errors import StorageError
from daftt_core.notifications import TITLES, Ending, ending_of, notify
from daftt_core.records import escape_markdown, visible_line, write_text
from daftt_core.reporting.card import DATA_CARD, write_card
from daftt_core.reporting.data import collect
from daftt_core.reporting.page import look, render
from daftt_core.reporting.text import score
from daftt_core.stages import EVALUATION, REPORT, EvaluationResult, ReportResult
from daftt_core.storage import open_storage
from daftt_core.telemetry import duration
from daftt_core.workspace import (
    Run,
    StageResult,
    StageStatus,
    current_attempt,
    read_result,
    read_stage,
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


def report_page(run: Run) -> str:
    """Return the page of a run's report; of a run without one, a page of what there is.

    Raises:
        StorageError: A finished stage's file is missing or was changed.
        DataError: A stage's file of examples does not hold what it should.
    """
    if stage_manifest(run, REPORT.name) is None:
        return render(collect(run))
    folder, _ = read_stage(run, REPORT)
    return (folder / "report.html").read_text(encoding="utf-8")


def summarize(run: Run | None, ending: Ending, attempt: str = "") -> str:
    """Describe how a run ended, as Markdown; it is kept in the run's folder too.

    Args:
        run: The run; None when its settings make none.
        ending: How it ended.
        attempt: The run in Kubeflow Pipelines that has ended; empty if that is not known.

    Raises:
        StorageError: The run's folder cannot be read or written.
    """
    title = f"# {TITLES[ending.outcome]}"
    if run is None:
        return _lines(title, _sentence(ending))
    statuses = run_statuses(run)
    text = _lines(
        f"{title}: {escape_markdown(run.name)}",
        _sentence(ending),
        _arms(read_result(run, EVALUATION)) if not ending.failures else "",
        "\n".join(["| stage | state | time |", "|---|---|---|", *(_row(run, s) for s in statuses)])
        if statuses
        else "No stage has begun.",
        f"All of it is in {_code(run.uri)}"
        + (f"; the workflow is {_code(attempt)}" if attempt else ""),
    )
    if statuses:
        open_storage(run.uri).write(SUMMARY, text.encode())
    return text


def tell_again(run: Run, config: Config) -> None:
    """Summarize a run that went well, and send its message, if its exit handler can do so no more.

    Kubeflow Pipelines runs the steps of a failed run again on "Retry", but not its exit handler,
    which has ended well. Where the run's folder holds a summary of this attempt already, the true
    one is left here.

    Raises:
        StorageError: The run's folder cannot be read or written.
    """
    attempt, storage = current_attempt(), open_storage(run.uri)
    earlier = storage.read(SUMMARY) if attempt else None
    if earlier is None or _code(attempt).encode() not in earlier.data:
        return
    promotes = config.promotion.enabled
    ending = ending_of(run, "SUCCEEDED", promotes=promotes, attempt=attempt)
    notify(ending, config.notify.format)
    summarize(run, ending, attempt)


def _sentence(ending: Ending) -> str:
    if ending.outcome != "failed":
        return escape_markdown(ending.sentence)
    # as code: Kubeflow's page takes escaped underscores in the names of settings for emphasis
    return "\n".join(f"- {_code(line)}" for line in ending.sentence.splitlines() if line.strip())


def _arms(evaluation: EvaluationResult | None) -> str:
    if evaluation is None or not evaluation.arms:
        return ""
    rows = ["| students of | test | better than the labels alone by |", "|---|---|---|"]
    for name, arm in evaluation.arms.items():
        if arm.mean is None:
            continue
        chosen = " (chosen on dev)" if name == evaluation.chosen_arm else ""
        gain = ""
        if arm.gain is not None and arm.gain_low is not None and arm.gain_high is not None:
            gain = f"{arm.gain:+.1f} ({arm.gain_low:+.1f} to {arm.gain_high:+.1f}) points"
        rows.append(
            f"| {escape_markdown(name)}{chosen} | {score(arm.mean, evaluation.metric)} | {gain} |"
        )
    return "\n".join(rows)


def _code(text: str) -> str:
    return f"`{visible_line(text).replace('`', chr(39))}`"


def _lines(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(run: Run, status: StageStatus) -> str:
    try:
        manifest = stage_manifest(run, status.stage)
    except StorageError:
        manifest = None
    time = duration(manifest.seconds) if manifest and status.state == "done" else ""
    return f"| {status.stage} | {status.state} | {time} |"
