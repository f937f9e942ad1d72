"""The report of a run: one HTML page, and the same tables as text."""

from daftt_core.reporting.data import collect, read_trigger
from daftt_core.reporting.page import render, stylesheet
from daftt_core.reporting.text import review_table, stage_table, summary_table
from daftt_core.reporting.write import summarize, write_report

__all__ = [
    "collect",
    "read_trigger",
    "render",
    "review_table",
    "stage_table",
    "stylesheet",
    "summarize",
    "summary_table",
    "write_report",
]
