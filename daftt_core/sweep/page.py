"""A sweep's files: its table as JSON, CSV and one HTML page, and the settings it recommends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from daftt_core.records import visible
from daftt_core.reporting import formats, stylesheet
from daftt_core.storage import open_storage
from daftt_core.sweep.curves import Curve
from daftt_core.sweep.figures import draw_curves
from daftt_core.sweep.mixtures import effect_sentences
from daftt_core.sweep.plan import Sweep
from daftt_core.sweep.recommend import RECOMMENDED, recommended_settings
from daftt_core.sweep.table import TABLE, SweepTable, arm_rows, collect_table, table_csv
from daftt_core.telemetry import log

__all__ = ["render", "verdicts", "write_table"]


def write_table(sweep: Sweep) -> SweepTable:
    """Collect the cells' results, and write them into the sweep's folder.

    ``sweep.json``, ``sweep.csv``, ``sweep.html``, and ``recommended.yaml`` where dev speaks for a
    setting.

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
    """What the sweep says in words: saturation, mixtures, and the recommendation."""
    sentences = [curve.sentence for curve in table.curves]
    sentences += effect_sentences(table.mixtures)
    return [*sentences, *([table.recommendation.sentence] if table.recommendation else [])]


def render(table: SweepTable) -> str:
    """The table as one self-contained HTML page."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"percent": formats.percent, "points": formats.gain}
    page = resources.files("daftt_core.sweep").joinpath("table.html").read_text(encoding="utf-8")
    done = [cell.evaluation for cell in table.cells if cell.evaluation]
    advice = table.recommendation
    return environment.from_string(page).render(
        css=Markup(stylesheet()),  # noqa: S704  (a file of this package)
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
    """Two figures for each fraction and mixture: dev, which decides, and test."""
    groups: dict[tuple[float, int], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.fraction, curve.mixture_tasks), []).append(curve)
    for number, ((fraction, mixture), group) in enumerate(groups.items()):
        title = f"Fraction {fraction:g}" + (f", mixture of {mixture} tasks" if mixture else "")
        yield {
            "title": title,
            "figures": [
                Markup(drawn)  # noqa: S704  (its text is escaped by the XML writer)
                for split in ("dev", "test")
                for drawn in [draw_curves(group, split, f"{title}, {split}", f"{split}-{number}")]
            ],
        }
