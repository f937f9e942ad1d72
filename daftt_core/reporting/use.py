"""How to use the student that a run recommends: facts about it, commands, code."""

from __future__ import annotations

import shlex

from daftt_core.config import StudentConfig
from daftt_core.reporting.content import ChosenStudent, ReportData
from daftt_core.reporting.text import metric_title, milliseconds, score, size
from daftt_core.tasks import prediction_code


def facts(data: ReportData, student: ChosenStudent) -> list[tuple[str, str]]:
    """Return what a user wants to know of the student before anything else."""
    metric = data.task.primary_metric
    origin = f", from {data.config.student.model}" if data.config else ""
    title = metric_title(metric)
    known = [
        ("Student", f"{student.arm}, seed {student.seed}{origin}"),
        (f"{title[0].upper()}{title[1:]} on test", score(student.score, metric)),
        ("Size", size(student.size_bytes)),
    ]
    if student.seconds_per_example is not None:
        device = f" on {student.device}" if student.device else ""
        speed = f"{milliseconds(student.seconds_per_example)} a text, in batches{device}"
        known.append(("Speed, measured on test", speed))
    return [*known, ("Folder", f"{data.uri.rstrip('/')}/{student.stage_folder}")]


def commands(data: ReportData) -> str:
    """Return the commands that answer a file of texts and make a folder for serving."""
    run = shlex.quote(data.uri)
    return f"daftt predict {run} texts.csv\ndaftt export {run} {_exported(data)}"


def code(data: ReportData, student: ChosenStudent) -> str:
    """Return Python code that lets the exported student answer."""
    lengths = data.config.student if data.config else StudentConfig()
    return prediction_code(
        data.task,
        _exported(data),
        causal=student.causal,
        max_length=lengths.max_length,
        max_target_length=lengths.max_target_length,
    )


def _exported(data: ReportData) -> str:
    return f"serving/{data.task.id}"
