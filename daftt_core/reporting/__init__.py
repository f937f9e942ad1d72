"""The report of a run: one HTML page, and the same tables as text."""

from daftt_core.reporting.arms import confusion
from daftt_core.reporting.content import ReportData
from daftt_core.reporting.data import collect
from daftt_core.reporting.page import render, stylesheet
from daftt_core.reporting.summary import summarize
from daftt_core.reporting.text import review_table, stage_table, summary_table
from daftt_core.reporting.trigger import read_trigger
from daftt_core.reporting.write import write_report

__all__ = [
    "ReportData",
    "collect",
    "confusion",
    "read_trigger",
    "render",
    "review_table",
    "stage_table",
    "stylesheet",
    "summarize",
    "summary_table",
    "write_report",
]
