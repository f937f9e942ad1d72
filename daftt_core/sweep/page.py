"""A sweep's files: its table as JSON, CSV and one HTML page with plots, and what it recommends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
_REAL: dict[str, Any] = {"color": COLOURS["muted"], "linewidth": 1.5, "linestyle": ":"}
_REAL_LABEL = "real examples only"


@dataclass(frozen=True)
class _Look:
    """How the figures of one page look, so that they can be compared at a glance.

    Attributes:
        names: The name of each line in the legend, by arm and mode.
        styles: The style of each line, likewise.
        limits: Lowest and highest score that any of them shows, in percent.
    """

    names: dict[tuple[str, str], str]
    styles: dict[tuple[str, str], dict[str, Any]]
    limits: tuple[float, float]

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> _Look:
        """Return one look for all curves: one scale, and a style for each arm and mode."""
        one_mode = len({curve.mode for curve in curves}) == 1
        names = {
            (curve.arm, curve.mode): curve.arm if one_mode else f"{curve.arm} ({curve.mode})"
            for curve in curves
        }
        scores = [
            end
            for curve in curves
            for split in get_args(Split)
            for point in (curve.real, *curve.points)
            for end in _ends(point, split)
        ]
        room = 0.05 * (max(scores) - min(scores)) or 1.0
        styles = {line: _style(place) for place, line in enumerate(names)}
        return cls(names, styles, (min(scores) - room, max(scores) + room))


def _style(place: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "linestyle": _LINES[place // len(_COLOURS) % len(_LINES)],
        "linewidth": 1.4,
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 6,
    }


def _ends(point: Point, split: Split) -> tuple[float, ...]:
    """Return a point's score and the ends of its interval, in percent."""
    score, interval = _score(point, split)
    ends = (interval.low, interval.high) if interval else ()
    return tuple(100 * value for value in (score, *ends))


def _draw_legend(look: _Look) -> Markup:
    """Draw the one legend of all figures."""
    from matplotlib.lines import Line2D

    lines = {_REAL_LABEL: _REAL} | {look.names[line]: look.styles[line] for line in look.names}
    height = 24 * ((len(lines) + 1) // 2) + 4
    with new_figure(400, height) as figure:
        handles = [Line2D([], [], label=name, **style) for name, style in lines.items()]
        figure.legend(handles=handles, loc="center left", ncols=2, labelcolor=COLOURS["ink"])
        return to_svg(figure, "legend", "Legend of all figures", ", ".join(lines))


def _draw_curves(curves: Sequence[Curve], split: Split, look: _Look, name: str) -> Markup:
    """Draw every curve with its intervals, a ring at saturation points, a line for real only.

    Ratios stand side by side at equal distances, since "no limit" has a distance to none.

    Args:
        curves: The curves of one fraction and mixture.
        split: Whose scores to draw.
        look: The look of all figures.
        name: Name of the figure, unique on the page.
    """
    ratios = sorted(
        {point.ratio or 0 for curve in curves for point in curve.points},
        key=lambda ratio: ratio or float("inf"),
    )
    with new_figure(400, 300) as figure:
        axes = figure.add_axes((0.13, 0.17, 0.84, 0.8))
        axes.axhline(100 * _score(curves[0].real, split)[0], **_REAL)
        for place, curve in enumerate(curves):
            shift = _SHIFT * (place - (len(curves) - 1) / 2)
            across = [ratios.index(point.ratio or 0) + shift for point in curve.points]
            _draw_curve(axes, curve, split, look.styles[curve.arm, curve.mode], across)
        axes.set_xticks(range(len(ratios)), [ratio_name(ratio) for ratio in ratios])
        axes.set_xlim(-0.5, len(ratios) - 0.5)
        axes.set_ylim(*look.limits)
        axes.grid(axis="y")
        axes.set_xlabel("synthetic examples of each source per labelled one")
        axes.set_ylabel(f"{metric_title(curves[0].metric)} on {split}, percent")
        title = f"{_group_title(curves[0])}, {split}"
        return to_svg(figure, name, title, ". ".join(_words(curve, split) for curve in curves))


def _draw_curve(
    axes: Axes, curve: Curve, split: Split, style: dict[str, Any], across: Sequence[float]
) -> None:
    colour, saturation = style["color"], curve.saturation
    for x, point in zip(across, curve.points, strict=True):
        score, *ends = _ends(point, split)
        if ends:
            axes.plot((x, x), ends, color=colour, linewidth=2.5, alpha=0.4)
        if point is saturation and point is not curve.points[-1]:
            ring: Any = {"marker": "o", "markersize": 15, "markerfacecolor": "none"}
            axes.plot([x], [score], markeredgecolor=colour, markeredgewidth=1.3, **ring)
    axes.plot(across, [100 * _score(point, split)[0] for point in curve.points], **style)


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
    look = _Look.of(table.curves) if table.curves else None
    page = new_environment("daftt_core.sweep").get_template("table.html")
    return page.render(
        name=table.name,
        uri=table.uri,
        title=_title(table),
        rows=list(arm_rows(table)),
        legend=_draw_legend(look) if look else "",
        panels=list(_panels(table.curves, look)) if look else [],
        curves=[curve.sentence for curve in table.curves],
        effects=effect_sentences(table.mixtures),
        advice=advice.sentence if advice else "",
        recommended=RECOMMENDED if advice and advice.cell else "",
        done=len(done),
        cells=len(table.cells),
        metric=formats.metric_title(done[0].metric) if done else "score",
        sure=formats.coverage(done[0].confidence) if done else "",
    )


def _title(table: SweepTable) -> str:
    """Return the finding in words, or how far the sweep is."""
    if table.recommendation and table.recommendation.finding:
        return table.recommendation.finding
    return f"No cell of the sweep {table.name} has a result yet"


def _group_title(curve: Curve) -> str:
    mixture = f", mixture of {curve.mixture_tasks} tasks" if curve.mixture_tasks else ""
    return f"Fraction {curve.fraction:g}{mixture}"


def _panels(curves: Sequence[Curve], look: _Look) -> Iterator[dict[str, Any]]:
    """Yield two figures for each fraction and mixture: dev, which decides, and test."""
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        groups.setdefault(_group_title(curve), []).append(curve)
    for number, (title, group) in enumerate(groups.items()):
        yield {
            "title": title,
            "figures": [
                _draw_curves(group, split, look, f"{split}-{number}") for split in get_args(Split)
            ],
        }
