"""Sweeps: the same run with other amounts of labels, synthetic examples and tasks, in one table."""

from daftt_core.sweep.mixtures import MixtureEffect, TeacherScores, effect_sentences
from daftt_core.sweep.plan import Cell, Sweep, plan_sweep
from daftt_core.sweep.table import SweepTable, arm_rows, read_table, render, write_table

__all__ = [
    "Cell",
    "MixtureEffect",
    "Sweep",
    "SweepTable",
    "TeacherScores",
    "arm_rows",
    "effect_sentences",
    "plan_sweep",
    "read_table",
    "render",
    "write_table",
]
