"""The report of a run: one HTML page, and the same tables as text."""

from daftt_core.reporting.data import collect
from daftt_core.reporting.page import new_environment, render
from daftt_core.reporting.text import review_table, stage_table, summary_table
from daftt_core.reporting.write import summarize, write_report

__all__ = [
    "collect",
    "new_environment",
    "render",
    "review_table",
    "stage_table",
    "summarize",
    "summary_table",
    "write_report",
]
