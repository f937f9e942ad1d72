"""A sweep's files: its table as JSON, CSV and one HTML page with plots, and what it recommends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from daftt_core.evaluation import Interval
from daftt_core.reporting import new_environment
from daftt_core.reporting import text as formats
from daftt_core.reporting.figures import COLOURS, new_figure, to_svg
from daftt_core.reporting.text import metric_title, percent
from daftt_core.storage import open_storage
from daftt_core.sweep.curves import Curve, Point, ratio_name
from daftt_core.sweep.mixtures import effect_sentences
from daftt_core.sweep.plan import Sweep
from daftt_core.sweep.recommend import RECOMMENDED, recommended_settings
from daftt_core.sweep.table import TABLE, SweepTable, arm_rows, collect_table, table_csv
from daftt_core.telemetry import log

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

Split = Literal["dev", "test"]

_COLOURS = [COLOURS[name] for name in ("accent", "second", "ink")]
_MARKERS = "osD^v"
_LINES = ("-", "--", ":")
_SHIFT = 0.09  # of the distance between two ratios, so that intervals do not hide each other


def _draw_curves(curves: Sequence[Curve], split: Split, title: str, name: str) -> Markup:
    """Draw every curve with its intervals, a ring at saturation points, a line for real only.

    Ratios stand side by side at equal distances, since "no limit" has a distance to none.

    Args:
        curves: The curves of one fraction and mixture.
        split: Whose scores to draw.
        title: What the figure shows, for screen readers.
        name: Name of the figure, unique on the page.
    """
    ratios = sorted(
        {point.ratio or 0 for curve in curves for point in curve.points},
        key=lambda ratio: ratio or float("inf"),
    )
    modes = {curve.mode for curve in curves}
    rows = (len(curves) + 2) // 2
    height = 300 + 22 * rows
    with new_figure(400, height) as figure:
        axes = figure.add_axes(
            (0.13, (58 + 22 * rows) / height, 0.84, 1 - (66 + 22 * rows) / height)
        )
        real = _score(curves[0].real, split)[0]
        style: Any = {"color": COLOURS["muted"], "linewidth": 1, "linestyle": ":"}
        axes.axhline(100 * real, label="real examples only", **style)
        for place, curve in enumerate(curves):
            label = curve.arm if len(modes) == 1 else f"{curve.arm} ({curve.mode})"
            shift = _SHIFT * (place - (len(curves) - 1) / 2)
            _draw_curve(
                axes,
                curve,
                split,
                place,
                label,
                [ratios.index(p.ratio or 0) + shift for p in curve.points],
            )
        axes.set_xticks(range(len(ratios)), [ratio_name(ratio) for ratio in ratios])
        axes.set_xlim(-0.5, len(ratios) - 0.5)
        axes.grid(axis="y")
        axes.set_xlabel("synthetic examples of each source per labelled one")
        axes.set_ylabel(f"{metric_title(curves[0].metric)} on {split}, percent")
        figure.legend(loc="lower left", ncols=2, labelcolor=COLOURS["ink"], columnspacing=1.2)
        return to_svg(figure, name, title, ". ".join(_words(curve, split) for curve in curves))


def _draw_curve(
    axes: Axes, curve: Curve, split: Split, place: int, label: str, across: Sequence[float]
) -> None:
    colour = _COLOURS[place % len(_COLOURS)]
    line = _LINES[place // len(_COLOURS) % len(_LINES)]
    saturation = curve.saturation
    for x, point in zip(across, curve.points, strict=True):
        score, interval = _score(point, split)
        if interval is not None:
            ends = (100 * interval.low, 100 * interval.high)
            axes.plot((x, x), ends, color=colour, linewidth=2.5, alpha=0.4)
        if point is saturation and point is not curve.points[-1]:
            ring: Any = {"marker": "o", "markersize": 15, "markerfacecolor": "none"}
            axes.plot([x], [100 * score], markeredgecolor=colour, markeredgewidth=1.3, **ring)
    axes.plot(
        across,
        [100 * _score(point, split)[0] for point in curve.points],
        color=colour,
        linestyle=line,
        linewidth=1.4,
        marker=_MARKERS[place % len(_MARKERS)],
        markersize=6,
        label=label,
    )


def _score(point: Point, split: Split) -> tuple[float, Interval | None]:
    if split == "dev":
        return point.dev, point.dev_interval
    return point.test, point.test_interval


def _words(curve: Curve, split: Split) -> str:
    scores = (
        f"{percent(_score(point, split)[0])} at ratio {ratio_name(point.ratio)}"
        for point in curve.points
    )
    return f"{curve.name}: {', '.join(scores)}; real only {percent(_score(curve.real, split)[0])}"


def write_table(sweep: Sweep) -> SweepTable:
    """Collect the cells' results, and write them into the sweep's folder.

    The files are ``sweep.json``, ``sweep.csv``, ``sweep.html``, and ``recommended.yaml`` if a
    setting is best on dev.

    Raises:
        StorageError: The sweep's folder cannot be read or written.
    """
    table = collect_table(sweep)
    storage = open_storage(sweep.uri)
    storage.write(TABLE, (table.model_dump_json(indent=1) + "\n").encode())
    storage.write("sweep.csv", table_csv(table).encode())
    storage.write("sweep.html", render(table).encode())
    advice = table.recommendation
    chosen = [cell for cell in sweep.cells if advice and cell.name == advice.cell]
    if advice and chosen:
        storage.write(RECOMMENDED, recommended_settings(chosen[0], advice).encode())
    else:
        storage.delete([RECOMMENDED])  # that of an earlier table
    for cell in table.lost:
        log.warning("%s: %s: %s", cell.cell, cell.status, cell.message)
    return table


def verdicts(table: SweepTable) -> list[str]:
    """Return the sweep's result in words: saturation, mixtures, and the recommendation."""
    sentences = [curve.sentence for curve in table.curves]
    sentences += effect_sentences(table.mixtures)
    return [*sentences, *([table.recommendation.sentence] if table.recommendation else [])]


def render(table: SweepTable) -> str:
    """Return the table as one self-contained HTML page."""
    done = [cell.evaluation for cell in table.cells if cell.evaluation]
    advice = table.recommendation
    page = new_environment("daftt_core.sweep").get_template("table.html")
    return page.render(
        name=table.name,
        uri=table.uri,
        rows=list(arm_rows(table)),
        panels=list(_panels(table.curves)),
        curves=[curve.sentence for curve in table.curves],
        effects=effect_sentences(table.mixtures),
        advice=advice.sentence if advice else "",
        recommended=RECOMMENDED if advice and advice.cell else "",
        done=len(done),
        cells=len(table.cells),
        metric=formats.metric_title(done[0].metric) if done else "score",
        sure=formats.coverage(done[0].confidence) if done else "",
    )


def _panels(curves: Sequence[Curve]) -> Iterator[dict[str, Any]]:
    """Yield two figures for each fraction and mixture: dev, which decides, and test."""
    groups: dict[tuple[float, int], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.fraction, curve.mixture_tasks), []).append(curve)
    for number, ((fraction, mixture), group) in enumerate(groups.items()):
        title = f"Fraction {fraction:g}" + (f", mixture of {mixture} tasks" if mixture else "")
        yield {
            "title": title,
            "figures": [
                _draw_curves(group, split, f"{title}, {split}", f"{split}-{number}")
                for split in get_args(Split)
            ],
        }
