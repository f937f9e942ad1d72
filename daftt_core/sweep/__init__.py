"""Sweeps: the same run with other amounts of labels, synthetic examples and tasks, in one table."""

from daftt_core.sweep.mixtures import effect_sentences
from daftt_core.sweep.page import render, verdicts, write_table
from daftt_core.sweep.plan import (
    Cell,
    Sweep,
    check_sweep_for_pods,
    commit_cells,
    plan_sweep,
    read_sweep_form,
)
from daftt_core.sweep.recommend import RECOMMENDED
from daftt_core.sweep.table import SweepTable, arm_rows, read_table

__all__ = [
    "RECOMMENDED",
    "Cell",
    "Sweep",
    "SweepTable",
    "arm_rows",
    "check_sweep_for_pods",
    "commit_cells",
    "effect_sentences",
    "plan_sweep",
    "read_sweep_form",
    "read_table",
    "render",
    "verdicts",
    "write_table",
]
