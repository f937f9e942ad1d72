"""How a run ended, in a few lines: what an exit handler leaves behind, whatever has happened."""

from __future__ import annotations

from daftt_core.errors import StorageError
from daftt_core.evaluation import read_evaluation
from daftt_core.reporting.trigger import read_trigger
from daftt_core.storage import open_storage
from daftt_core.telemetry import duration
from daftt_core.workspace import Run, run_statuses, stage_manifest
from daftt_core.workspace.status import StageStatus

__all__ = ["SUMMARY", "summarize"]

SUMMARY = "summary.md"


def summarize(run: Run | None, state: str, message: str) -> str:
    """Describe how a run ended, as Markdown; it is kept in the run's folder too.

    Args:
        run: The run; None when its settings make none.
        state: How it ended, in the words of Kubeflow Pipelines, such as ``SUCCEEDED``.
        message: What Kubeflow Pipelines says about a failure; may be empty.

    Raises:
        StorageError: The run's folder cannot be read or written.
    """
    if run is None:
        return _lines(f"# {state}", "The settings make no run; preflight says why.", message)
    statuses = run_statuses(run)
    text = _lines(
        f"# {state}: {run.name}",
        _headline(run),
        *[f"- {each.stage} failed: {each.message}" for each in statuses if each.state == "failed"],
        message,
        "\n".join(["| stage | state | time |", "|---|---|---|", *(_row(run, s) for s in statuses)])
        if statuses
        else "No stage has begun.",
        f"All of it is in {run.uri}",
    )
    if statuses:
        open_storage(run.uri).write(SUMMARY, text.encode())
    return text


def _lines(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(run: Run) -> str:
    asked = read_trigger(run.uri)
    if asked and not asked.train:
        return asked.reason
    try:
        return read_evaluation(run).headline
    except StorageError:  # it did not come that far
        return ""


def _row(run: Run, status: StageStatus) -> str:
    try:
        manifest = stage_manifest(run, status.stage)
    except StorageError:
        manifest = None
    took = duration(manifest.seconds) if manifest and status.state == "done" else ""
    return f"| {status.stage} | {status.state} | {took} |"
