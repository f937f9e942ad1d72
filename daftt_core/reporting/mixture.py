"""The report's words about the other tasks that the teacher learned."""

from __future__ import annotations

from typing import Any

from daftt_core.reporting.content import ReportData
from daftt_core.reporting.provenance import table
from daftt_core.reporting.text import metric_title, number, score, share
from daftt_core.stages import MIXTURE, MixtureResult

__all__ = ["mixture"]


def mixture(data: ReportData) -> dict[str, Any] | None:
    """What went into the mixture, and what may be said of its effect; None without one."""
    found = data.result(MIXTURE)
    if found is None:
        return None
    rows = [
        [task.name, task.source, task.license, number(task.examples), task.sha256]
        for task in found.tasks
    ]
    left_out = [[name, reason] for name, reason in sorted(found.excluded.items())]
    tables = [
        table(
            "The mixture",
            "Task,Source,License,Instances,SHA-256",
            rows,
            numeric="Instances",
            digests="SHA-256",
        ),
        table("Left out of the mixture", "Task,Reason", left_out, folded=True),
    ]
    return {
        "sentence": _sentence(data, found),
        "tables": [each for each in tables if each["rows"]],
    }


def _sentence(data: ReportData, found: MixtureResult) -> str:
    count = len(found.tasks)
    tasks = "1 other task" if count == 1 else f"{number(count)} other tasks"
    learned = (
        f"Beside the target task, which makes {share(found.share)} of what it learned from, the "
        f"teacher was given {number(found.examples)} instances of {tasks}."
    )
    if data.assessment is None:
        return learned
    found_on_dev = data.assessment
    tuned = found_on_dev.tuned_dev_score
    scored = score(found_on_dev.dev_score if tuned is None else tuned, found_on_dev.metric)
    return (
        f"{learned} Its {metric_title(found_on_dev.metric)} on dev with this mixture is {scored}; "
        "whether the mixture helped, only the same run with mixture_tasks 0 can tell: "
        f"daftt sweep --mixtures 0,{count} makes both and compares their teachers on dev."
    )
