"""The report's plots: SVG that takes its colours and fonts from the page around it.

Each colour is drawn as a marker (a hex code nothing else uses) and then replaced by one of the
page's CSS variables, so that one drawing serves the light and the dark theme. Figures are 400
units wide, so that their text is legible on a phone. The same numbers give the same bytes.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from daftt_core.evaluation import REAL_ARM, ArmResult, Evaluation, ReliabilityBin
from daftt_core.records import visible
from daftt_core.reporting.content import TrainingStep
from daftt_core.reporting.text import metric_title, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


COLOURS = {
    "ink": "#010203",
    "muted": "#010204",
    "rule": "#010205",
    "accent": "#010206",
    "second": "#010207",
    "surface": "#010208",
}
_UNITS_PER_INCH = 72
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_FONT = re.compile(r"font-family: [^;]*;? ?")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "daftt",
    "text.parse_math": False,
    "font.size": 13,
    "axes.edgecolor": COLOURS["rule"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["rule"],
    "ytick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.8,
    "legend.frameon": False,
}


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """Provide a figure of this size in SVG units, in the report's style."""
    import matplotlib as mpl  # half a second that the command line need not spend
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width / _UNITS_PER_INCH, height / _UNITS_PER_INCH))


def to_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Return the figure as an element for a page.

    Args:
        figure: What was drawn inside :func:`new_figure`.
        name: Begins all ids in it; unique on the page.
        title: What it shows, for screen readers.
        description: Its numbers in words, likewise.
    """
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314  (matplotlib's own output)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)  # its style rule would apply to the whole page
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _adapt(key, value, name))
    for tag, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = visible(text)
        root.insert(0, element)
    root.attrib.pop("width")
    root.attrib.pop("height")
    root.attrib.pop("version", None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    svg = ElementTree.tostring(root, encoding="unicode")
    return Markup(svg)  # noqa: S704  (its text is escaped by the XML writer)


def _adapt(key: str, value: str, name: str) -> str:
    """Return an attribute of matplotlib's drawing, adapted to a page with other figures."""
    if key == "id":
        return f"{name}-{value}"
    if value.startswith("#"):
        return f"#{name}-{value[1:]}"
    value = value.replace("url(#", f"url(#{name}-")
    value = _FONT.sub("", value)
    for variable, marker in COLOURS.items():
        value = value.replace(marker, f"var(--{variable})")
    return value


def draw_arms(evaluation: Evaluation, title: str) -> Markup:
    """Draw every seed's score, each arm's mean and its interval, one arm a row.

    Args:
        evaluation: The arms; the chosen one is emphasized, the mean of ``real`` is a line.
        title: What the figure shows, for screen readers.
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


def draw_learning_curve(
    history: Sequence[TrainingStep], title: str, *, labels_alone: bool
) -> Markup:
    """Draw the teacher's loss on training examples and on dev; a star at the epoch that is kept.

    Args:
        history: The teacher's training.
        title: What the figure shows, for screen readers.
        labels_alone: Whether both are losses of the same kind, so that one scale holds both.
    """
    losses = {
        "training": [(step.epoch, step.loss) for step in history if step.loss is not None],
        "dev": [(step.epoch, step.dev_loss) for step in history if step.dev_loss is not None],
    }
    kept = min(losses["dev"], key=lambda point: point[1], default=None)
    with new_figure(400, 300) as figure:
        if labels_alone or not all(losses.values()):
            below = above = figure.add_axes((0.15, 0.18, 0.82, 0.77))
            above.set_ylabel("loss per token")
        else:
            below = figure.add_axes((0.15, 0.18, 0.82, 0.33))
            above = figure.add_axes((0.15, 0.61, 0.82, 0.33), sharex=below)
            above.tick_params(labelbottom=False)
            above.set_ylabel("dev, labels")
            below.set_ylabel("training, all")
        if losses["training"]:
            line: Any = {"color": COLOURS["second"], "linewidth": 1.3, "label": "training"}
            below.plot(*zip(*losses["training"], strict=True), **line)
        if kept:
            line = {"color": COLOURS["accent"], "linestyle": "--", "marker": "o", "label": "dev"}
            above.plot(*zip(*losses["dev"], strict=True), **line)
            star: Any = {"linestyle": "none", "marker": "*", "markersize": 13, "label": "kept"}
            above.plot(*kept, color=COLOURS["accent"], **star)
        drawn = {below: losses["training"], above: losses["dev"]}
        if below is above:
            drawn[above] = [*losses["training"], *losses["dev"]]
        for axes, points in drawn.items():
            axes.set_ylim(0, 1.2 * max((loss for _, loss in points), default=0.0) or 1.0)
            axes.grid(axis="y")
            axes.legend(labelcolor=COLOURS["ink"])
        below.set_xlabel("epoch")
        description = "; ".join(
            f"{name} loss from {points[0][1]:.2f} at epoch {points[0][0]:g} "
            f"to {points[-1][1]:.2f} at epoch {points[-1][0]:g}"
            for name, points in losses.items()
            if points
        )
        if kept:
            description += f"; the weights of epoch {kept[0]:g} were kept"
        return to_svg(figure, "learning-curve", title, description)


def draw_reliability(
    lines: Sequence[tuple[str, Sequence[ReliabilityBin]]], title: str, name: str
) -> Markup:
    """Draw how often answers are right at each confidence.

    Args:
        lines: One or two, each with its name; the last is emphasized.
        title: What the figure shows, for screen readers.
        name: Name of the figure, unique on the page.
    """
    styles = [(COLOURS["second"], "s", "--"), (COLOURS["accent"], "o", "-")][-len(lines) :]
    with new_figure(400, 350) as figure:
        axes = figure.add_axes((0.15, 0.14, 0.82, 0.83))
        axes.plot((0, 1), (0, 1), color=COLOURS["muted"], linewidth=1, linestyle=":")
        for (label, bins), (colour, marker, line) in zip(lines, styles, strict=True):
            axes.plot(
                [bin_.confidence for bin_ in bins],
                [bin_.accuracy for bin_ in bins],
                color=colour,
                marker=marker,
                linestyle=line,
                markersize=6,
                label=label,
            )
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


def draw_student_reliability(evaluation: Evaluation) -> Markup:
    """Draw the reliability of real only and the chosen arm; empty if one has no bins."""
    names = dict.fromkeys((REAL_ARM, evaluation.chosen_arm))
    lines = [(name, evaluation.arm(name).reliability) for name in names]
    if not all(bins for _, bins in lines):
        return Markup()
    title = "How often the students are right at each confidence"
    return draw_reliability(lines, title, "student-reliability")
