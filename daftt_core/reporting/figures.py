"""The report's plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from daftt_core.evaluation import REAL_ARM, ArmResult, Evaluation, ReliabilityBin
from daftt_core.records import visible
from daftt_core.reporting.content import TrainingStep
from daftt_core.reporting.formats import metric_title, percent
from daftt_core.reporting.svg import COLOURS, new_figure, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_arms", "draw_learning_curve", "draw_reliability"]


def draw_arms(evaluation: Evaluation, title: str) -> str:
    """Every seed's score, each arm's mean and its interval, one arm a row.

    Args:
        evaluation: The arms; the chosen one is emphasized, the mean of ``real`` is a line.
        title: What the figure shows, for those who hear it.
    """
    arms = evaluation.arms
    height = 52 * len(arms) + 62
    with new_figure(400, height) as figure:
        axes = figure.add_axes((0.02, 50 / height, 0.84, 1 - 56 / height))
        for place, arm in enumerate(arms):
            if arm.arm == REAL_ARM:
                axes.axvline(100 * arm.mean, color=COLOURS["muted"], linewidth=1, linestyle=":")
            _draw_arm(axes, -place, arm, arm.arm == evaluation.chosen_arm)
        axes.set_ylim(-len(arms) + 0.5, 0.75)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.margins(x=0.06)
        axes.set_xlabel(f"{metric_title(evaluation.metric)} on test, percent")
        return to_svg(figure, "arms", title, "; ".join(map(_arm_in_words, arms)))


def _draw_arm(axes: Axes, height: float, arm: ArmResult, chosen: bool) -> None:
    colour = COLOURS["accent" if chosen else "ink"]
    interval = (100 * arm.interval.low, 100 * arm.interval.high)
    axes.plot(interval, (height, height), color=colour, linewidth=2.5, alpha=0.45)
    axes.plot([100 * arm.mean], [height], marker="D", markersize=8, color=colour)
    axes.plot(
        [100 * score for score in arm.scores],
        [height - 0.26] * len(arm.scores),
        linestyle="none",
        marker="o",
        markersize=6,
        markerfacecolor=COLOURS["surface"],
        markeredgecolor=colour,
        markeredgewidth=1.4,
    )
    weight = "bold" if chosen else "normal"
    across = axes.get_yaxis_transform()
    name = visible(arm.arm)
    behind = {"facecolor": COLOURS["surface"], "edgecolor": "none", "pad": 1.5}
    axes.text(0, height + 0.36, name, transform=across, fontweight=weight, va="center", bbox=behind)
    mean = percent(arm.mean)
    axes.text(1.03, height, mean, transform=across, fontweight=weight, va="center")


def _arm_in_words(arm: ArmResult) -> str:
    return (
        f"{arm.arm}: mean {percent(arm.mean)}, "
        f"interval {percent(arm.interval.low)} to {percent(arm.interval.high)}, "
        f"seeds {', '.join(map(percent, arm.scores))}"
    )


def draw_learning_curve(history: Sequence[TrainingStep], title: str) -> str:
    """The teacher's loss on its training examples and on dev, by epoch; a star where it is kept."""
    trained = [(step.epoch, step.loss) for step in history if step.loss is not None]
    checked = [(step.epoch, step.dev_loss) for step in history if step.dev_loss is not None]
    with new_figure(400, 280) as figure:
        axes = figure.add_axes((0.15, 0.19, 0.82, 0.76))
        if trained:
            axes.plot(
                *zip(*trained, strict=True),
                color=COLOURS["second"],
                linewidth=1.3,
                label="training",
            )
        if checked:
            axes.plot(
                *zip(*checked, strict=True),
                color=COLOURS["accent"],
                linestyle="--",
                marker="o",
                label="dev",
            )
            kept = min(checked, key=lambda point: point[1])
            axes.plot(
                *kept,
                color=COLOURS["accent"],
                linestyle="none",
                marker="*",
                markersize=12,
                label="kept",
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss per token")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.legend(labelcolor=COLOURS["ink"])
        description = "; ".join(
            f"{name} loss from {losses[0][1]:.2f} at epoch {losses[0][0]:g} "
            f"to {losses[-1][1]:.2f} at epoch {losses[-1][0]:g}"
            for name, losses in (("training", trained), ("dev", checked))
            if losses
        )
        if checked:
            description += f"; the weights of epoch {kept[0]:g} were kept"
        return to_svg(figure, "learning-curve", title, description)


def draw_reliability(
    lines: Sequence[tuple[str, Sequence[ReliabilityBin]]], title: str, name: str
) -> str:
    """How often answers are right at each confidence.

    Args:
        lines: One or two, each with its name; the last is emphasized.
        title: What the figure shows, for those who hear it.
        name: Of the figure, unique on the page.
    """
    styles = [(COLOURS["second"], "s", "--"), (COLOURS["accent"], "o", "-")][-len(lines) :]
    with new_figure(400, 350) as figure:
        axes = figure.add_axes((0.15, 0.14, 0.82, 0.83))
        axes.plot((0, 1), (0, 1), color=COLOURS["muted"], linewidth=1, linestyle=":")
        for (label, bins), style in zip(lines, styles, strict=True):
            _draw_bins(axes, bins, label, *style)
        lowest = min((bin_.confidence for _, bins in lines for bin_ in bins), default=0.0)
        axes.set_xlim(min(0.48, lowest - 0.02), 1.02)
        axes.set_ylim(-0.02, 1.04)
        axes.grid()
        axes.set_xlabel("confidence")
        axes.set_ylabel("share of right answers")
        axes.legend(loc="lower right", labelcolor=COLOURS["ink"])
        description = ". ".join(
            f"{label}: "
            + ", ".join(
                f"{bin_.accuracy:.0%} right at confidence {bin_.confidence:.2f} ({bin_.count})"
                for bin_ in bins
            )
            for label, bins in lines
        )
        return to_svg(figure, name, title, description)


def _draw_bins(
    axes: Axes, bins: Sequence[ReliabilityBin], label: str, colour: str, marker: str, line: str
) -> None:
    axes.plot(
        [bin_.confidence for bin_ in bins],
        [bin_.accuracy for bin_ in bins],
        color=colour,
        marker=marker,
        linestyle=line,
        markersize=6,
        label=label,
    )
