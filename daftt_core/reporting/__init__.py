"""The report of a run: one HTML page, and the same tables as text."""

from daftt_core.reporting.data import collect
from daftt_core.reporting.mlflow import track, track_or_warn
from daftt_core.reporting.page import new_environment, render
from daftt_core.reporting.text import review_table, stage_table, summary_table
from daftt_core.reporting.write import report_page, summarize, tell_again, write_report

__all__ = [
    "collect",
    "new_environment",
    "render",
    "report_page",
    "review_table",
    "stage_table",
    "summarize",
    "summary_table",
    "tell_again",
    "track",
    "track_or_warn",
    "write_report",
]
