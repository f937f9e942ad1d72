"""Numbers as the report and the terminal show them, and the terminal's tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from daftt_core.curation import QUESTIONS, read_review
from daftt_core.errors import StorageError
from daftt_core.evaluation import ArmResult, Evaluation
from daftt_core.reporting.content import StageRecord
from daftt_core.tasks import METRICS
from daftt_core.telemetry import duration
from daftt_core.workspace import Run

NONE = "\u2013"
"""Stands for a number that does not exist, such as the gain of ``real`` over itself."""

_MINUS = "\u2212"


def percent(value: float | None) -> str:
    """Write a score in [0, 1], or a spread of such scores, times 100: ``82.1``."""
    return NONE if value is None else _signed(f"{100 * value:z.1f}")


def score(value: float, metric: str) -> str:
    """Write a score with the sign of percent where that is usual: ``82.1%``, ``41.3``."""
    return f"{percent(value)}%" if metric == "accuracy" else percent(value)


def metric_title(metric: str) -> str:
    """Return a metric as people read it: ``macro F1``."""
    return METRICS[metric].title if metric in METRICS else metric


def gain(value: float | None) -> str:
    """Write a difference that is in points already, with its sign: ``+12.9``."""
    return NONE if value is None else _signed(f"{value:+z.1f}")


def share(value: float | None) -> str:
    """Write a share in whole percent: ``81%``."""
    return NONE if value is None else _signed(f"{100 * value:z.0f}%")


def coverage(value: float) -> str:
    """Write the coverage of an interval, to the last digit: ``95%``, ``99.5%``."""
    return f"{100 * value:g}%"


def p_value(value: float | None) -> str:
    """Write a p-value with as many digits as matter: ``0.032``, ``<0.001``."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def number(value: int | None) -> str:
    """Write a count: ``1,500``."""
    return NONE if value is None else f"{value:,}"


def memory(size_bytes: int) -> str:
    """Write memory in GiB, the unit in which machines are bought: ``1.24 GiB``."""
    return f"{size_bytes / 2**30:.2f} GiB" if size_bytes else NONE


def size(size_bytes: int) -> str:
    """Write a size on disk in decimal units, as file managers show it: ``91.2 MB``."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def milliseconds(seconds: float) -> str:
    """Write a short time with two digits that matter: ``0.42 ms``, ``1.8 ms``, ``120 ms``."""
    value = float(f"{1000 * seconds:.2g}")
    return f"{value:,.0f} ms" if value >= 10 else f"{value:g} ms"


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)


def summary_table(evaluation: Evaluation) -> str:
    """Return the arms: training examples, score, gain over real only, share of the gap closed.

    The chosen arm is marked with ``*``.
    """
    rows = [_arm(arm, chosen=arm.arm == evaluation.chosen_arm) for arm in evaluation.arms]
    interval = f"{coverage(evaluation.confidence)} interval"
    headings = ["arm", "examples", "mean", "SD", "gain", interval, "p (Holm)", "gap closed"]
    table = _aligned([headings, *rows])
    seeds = len(evaluation.seeds)
    note = (
        f"{metric_title(evaluation.metric)} in percent on {number(evaluation.test_examples)} test "
        f"examples, {seeds} {'seed' if seeds == 1 else 'seeds'}; gains in points over real; "
        "*: chosen on dev"
    )
    return f"{table}\n{note}"


def _arm(arm: ArmResult, *, chosen: bool) -> list[str]:
    comparison = arm.comparison
    interval = comparison.interval if comparison else None
    return [
        f"{arm.arm} *" if chosen else arm.arm,
        number(sum(arm.training_examples.values())),
        percent(arm.mean),
        percent(arm.sd),
        gain(comparison.gain if comparison else None),
        f"{gain(interval.low)} to {gain(interval.high)}" if interval else gain(None),
        p_value(comparison.mcnemar_p_holm if comparison else None),
        share(comparison.gap_closed if comparison else None),
    ]


def stage_table(stages: Sequence[StageRecord]) -> str:
    """Return time and peak memory of each finished stage, and of all of them."""
    rows = [
        [stage.name, duration(stage.seconds), memory(stage.peak_memory_bytes)] for stage in stages
    ]
    total = duration(sum(stage.seconds for stage in stages))
    peak = memory(max((stage.peak_memory_bytes for stage in stages), default=0))
    return _aligned([["stage", "time", "peak memory"], *rows, ["total", total, peak]])


def review_table(run: Run) -> str:
    """Return the faults that people found in kept examples, with 95% intervals in percent.

    Raises:
        StorageError: Nobody has reviewed this run's examples.
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
    """Set columns two spaces apart, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:]])
