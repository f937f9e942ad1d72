"""Sweeps: the same run with other amounts of labels and of synthetic examples, in one table."""

from daftt_core.sweep.plan import Cell, Sweep, plan_sweep
from daftt_core.sweep.table import SweepTable, arm_rows, read_table, render, write_table

__all__ = [
    "Cell",
    "Sweep",
    "SweepTable",
    "arm_rows",
    "plan_sweep",
    "read_table",
    "render",
    "write_table",
]
