"""One self-contained HTML page from what a report says: no script, nothing from elsewhere."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from daftt_core import __version__
from daftt_core.evaluation import GOLD_ARM
from daftt_core.records import visible
from daftt_core.reporting import arms, card, costs, provenance, sections, students
from daftt_core.reporting.content import ReportData
from daftt_core.reporting.promotion import promotion
from daftt_core.reporting.text import number

__all__ = ["look", "render", "stylesheet"]

_CONTENTS = {
    "arms": ("arms", "Students"),
    "measures": ("measures", "Measures"),
    "matrices": ("confusion", "Errors"),
    "slices": ("slices", "Slices"),
    "promotion": ("promotion", "Promotion"),
    "teacher": ("teacher", "Teacher"),
    "curation": ("curation", "Curation"),
    "review": ("review", "Review"),
    "samples": ("examples", "Examples"),
    "times": ("time", "Time"),
    "costs": ("costs", "Costs"),
    "provenance": ("provenance", "Provenance"),
    "settings": ("settings", "Settings"),
}


def render(data: ReportData) -> str:
    """The report as HTML; the same data gives the same text."""
    view: dict[str, Any] = {
        "arms": arms.arms(data.evaluation),
        "measures": students.measures(data.evaluation),
        "matrices": arms.matrices(data.evaluation),
        "class_scores": students.class_scores(data.evaluation),
        "slices": students.slices(data.evaluation),
        "promotion": promotion(data.promotion),
        "teacher": sections.teacher(data),
        "curation": sections.curation(data),
        "review": sections.review(data),
        "samples": sections.samples(data),
        "times": sections.times(data.stages),
        "costs": costs.costs(data.ledger),
        "provenance": provenance.tables(data),
        "settings": sections.settings(data.config),
    }
    view["contents"] = [entry for part, entry in _CONTENTS.items() if view[part]]
    template = _environment().get_template("report.html")
    return template.render(
        **view,
        css=Markup(_read("report.css")),  # noqa: S704  (a file of this package)
        run_name=data.run_name,
        finished=data.finished,
        card=card.write_card(data) if data.curation else "",
        headline=arms.headline(data),
        missing=data.missing,
        untrained=data.untrained if data.evaluation else "",
        failed=any(stage.failed for stage in data.missing),
        facts=_facts(data),
        version=__version__,
    )


def stylesheet() -> str:
    """The look of the report, for other pages."""
    return _read("report.css")


def look() -> list[str]:
    """The files that decide how a report looks; a change in them makes reports anew."""
    return [__version__, _read("report.html"), _read("report.css")]


def _read(name: str) -> str:
    folder = resources.files("daftt_core.reporting") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("daftt_core.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
    )


def _finalize(value: object) -> object:
    """Every text that the template shows passes here; what is markup already was checked before."""
    return visible(value) if type(value) is str else value


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """The strip under the headline."""
    facts = [("Task", data.task.id), ("Run seed", str(data.seed))]
    if data.config is not None:
        facts += [("Teacher", data.config.teacher.model), ("Student", data.config.student.model)]
    evaluation = data.evaluation
    if evaluation is not None:
        real = evaluation.arms[0].training_examples
        claims = [arm.arm for arm in evaluation.arms if arm.arm != GOLD_ARM]
        facts += [
            ("Labelled examples", number(sum(real.values()))),
            ("Test examples", number(evaluation.test_examples)),
            (
                "Arms",
                f"{len(claims)}" + (" and gold" if len(claims) < len(evaluation.arms) else ""),
            ),
            ("Students per arm", str(len(evaluation.seeds))),
        ]
    ended = "Last stage finished" if data.missing else "Finished"
    return [*facts, (ended, data.finished)] if data.finished else facts
