"""The report's two main tables as plain text, for the end of a run on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from daftt_core.curation import QUESTIONS, read_review
from daftt_core.errors import StorageError
from daftt_core.evaluation import ArmResult, Evaluation
from daftt_core.reporting.data import stage_records
from daftt_core.reporting.formats import (
    coverage,
    gain,
    memory,
    metric_title,
    number,
    p_value,
    percent,
    share,
)
from daftt_core.telemetry import duration
from daftt_core.workspace import Run

__all__ = ["review_table", "stage_table", "summary_table"]


def summary_table(evaluation: Evaluation) -> str:
    """The arms: training examples, score, gain over real only, and the share of the gap closed.

    The chosen arm is marked with ``*``.
    """
    sure = coverage(evaluation.confidence)
    rows = [_arm(arm, arm.arm == evaluation.chosen_arm) for arm in evaluation.arms]
    head = ["arm", "examples", "mean", "SD", "gain", f"{sure} interval", "p (Holm)", "gap closed"]
    table = _aligned([head, *rows])
    seeds = len(evaluation.seeds)
    note = (
        f"{metric_title(evaluation.metric)} in percent on {number(evaluation.test_examples)} test "
        f"examples, {seeds} {'seed' if seeds == 1 else 'seeds'}; gains in points over real; "
        "*: chosen on dev"
    )
    return f"{table}\n{note}"


def _arm(arm: ArmResult, chosen: bool) -> list[str]:
    compared = arm.comparison
    interval = compared.interval if compared else None
    return [
        f"{arm.arm} *" if chosen else arm.arm,
        number(sum(arm.training_examples.values())),
        percent(arm.mean),
        percent(arm.sd),
        gain(compared.gain if compared else None),
        f"{gain(interval.low)} to {gain(interval.high)}" if interval else gain(None),
        p_value(compared.mcnemar_p_holm if compared else None),
        share(compared.gap_closed if compared else None),
    ]


def stage_table(run: Run) -> str:
    """Time and peak memory of each finished stage, and of all of them.

    Raises:
        StorageError: A stage's manifest is damaged.
    """
    stages = stage_records(run)
    rows = [
        [stage.name, duration(stage.seconds), memory(stage.peak_memory_bytes)] for stage in stages
    ]
    total = duration(sum(stage.seconds for stage in stages))
    peak = memory(max((stage.peak_memory_bytes for stage in stages), default=0))
    return _aligned([["stage", "time", "peak memory"], *rows, ["total", total, peak]])


def review_table(run: Run) -> str:
    """What people found in a sample of the kept examples, with 95% intervals in percent.

    Raises:
        StorageError: Nobody has looked at this run's examples.
    """
    review = read_review(run)
    if review is None:
        raise StorageError(f"{run.uri}: nobody has reviewed what its curation kept")
    rows = [
        [
            finding.group,
            QUESTIONS[finding.question][1],
            f"{number(finding.faults)} of {number(finding.count)}",
            f"{percent(finding.faults / finding.count)}%",
            f"{percent(finding.low)} to {percent(finding.high)}",
        ]
        for finding in review.findings
    ]
    return _aligned([["examples", "fault", "found", "rate", "95% interval"], *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:]])
