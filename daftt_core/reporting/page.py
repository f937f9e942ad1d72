"""Render a report as one self-contained HTML page: no script, nothing from elsewhere.

The template gets the models themselves, filters for numbers, and the modules with the report's
sentences, figures and tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from daftt_core import __version__
from daftt_core.curation import QUESTIONS
from daftt_core.evaluation import GOLD_ARM, REAL_ARM, ArmResult, Evaluation
from daftt_core.records import visible
from daftt_core.reporting import card, costs, figures, prose, provenance, text, use
from daftt_core.reporting.content import ReportData
from daftt_core.telemetry import duration

MOST_CONFUSED_LABELS = 30
"""Labels of a confusion matrix: a thousand of them would make a page of more than 100 MB."""

FEW_LABELS = 4
"""Confusion matrices of so few labels stand side by side; of larger ones only one is unfolded."""

SHOWN_SAMPLES = 3
"""Examples of a list that are shown at once; the others are folded."""

_SOURCE_NAMES = {
    "annotated": "Annotated: real inputs, labels by the teacher",
    "generated": "Generated: inputs and labels by the teacher",
}


def render(data: ReportData) -> str:
    """Return the report as HTML; the same data gives the same text."""
    tables = provenance.tables(data)
    emphasized = _emphasized(data.evaluation) if data.evaluation else []
    confused = _confused_labels(emphasized)
    sections = [
        ("arms", "Students", data.evaluation),
        ("use", "Use it", data.student),
        ("errors", "Errors", data.evaluation and _shows_errors(data, emphasized)),
        ("promotion", "Promotion", data.promotion),
        ("teacher", "Teacher", data.assessment or data.history),
        ("curation", "Synthetic examples", data.curation),
        ("review", "Review", data.review),
        ("costs", "Time and costs", data.ledger.stages),
        ("provenance", "Provenance", tables),
        ("settings", "Settings", data.config),
    ]
    environment = new_environment("daftt_core.reporting")
    environment.globals |= {
        "costs": costs,
        "figures": figures,
        "prose": prose,
        "provenance": provenance,
        "use": use,
    }
    return environment.get_template("report.html").render(
        data=data,
        contents={id_: title for id_, title, content in sections if content},
        headline=_headline(data),
        facts=_facts(data),
        emphasized=emphasized,
        confused=confused,
        confusion_rows=_confusion_rows,
        provenance_tables=tables,
        questions=QUESTIONS,
        source_names=_SOURCE_NAMES,
        samples={sample.source: sample for sample in data.samples},
        shown_samples=SHOWN_SAMPLES,
        few_labels=FEW_LABELS,
        card=card.write_card(data),
        version=__version__,
    )


def _shows_errors(data: ReportData, arms: Sequence[ArmResult]) -> bool:
    student, evaluation = data.student, data.evaluation
    return bool(
        any(arm.confusion for arm in arms)
        or (student and student.mistakes)
        or data.label_issues
        or (evaluation and evaluation.slices)
    )


def look() -> list[str]:
    """Return the files that decide how a report looks; a change in them rebuilds reports."""
    return [__version__, *map(_read, ("head.html", "report.html", "report.css"))]


def _read(name: str) -> str:
    folder = resources.files("daftt_core.reporting") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def new_environment(package: str) -> Environment:
    """Return the environment of a page's template, which may include the report's ``head.html``.

    Args:
        package: The package whose folder ``templates`` holds the template.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("daftt_core.reporting")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
    )
    environment.globals["css"] = Markup(_read("report.css"))  # noqa: S704  (a file of this package)
    for write_number in (
        text.coverage,
        text.gain,
        text.memory,
        text.metric_title,
        text.milliseconds,
        text.number,
        text.p_value,
        text.percent,
        text.score,
        text.share,
        text.size,
        duration,
    ):
        environment.filters[write_number.__name__] = write_number
    return environment


def _finalize(value: object) -> object:
    """Make every text of the template visible; markup was checked where it was made."""
    return visible(value) if type(value) is str else value


def _emphasized(evaluation: Evaluation) -> list[ArmResult]:
    """Return the arms that are shown more closely: real only, the chosen one, and gold."""
    names = (REAL_ARM, evaluation.chosen_arm, GOLD_ARM)
    return [arm for arm in evaluation.arms if arm.arm in names]


def _confused_labels(arms: Sequence[ArmResult]) -> list[int]:
    """Return the places of the labels with the most errors of all arms, in the labels' order."""
    matrices = [arm.confusion for arm in arms if arm.confusion]
    places = range(len(matrices[0]) if matrices else 0)
    errors = [
        sum(sum(matrix[place]) + sum(row[place] for row in matrix) - 2 * matrix[place][place]
            for matrix in matrices)
        for place in places
    ]  # fmt: skip
    most = sorted(places, key=lambda place: -errors[place])[:MOST_CONFUSED_LABELS]
    return sorted(most)


def _confusion_rows(
    arm: ArmResult, places: Sequence[int]
) -> Iterator[tuple[int, list[tuple[int, int]], int]]:
    """Yield each shown label with its counts by answer, and the count of all other answers."""
    for truth in places:
        counts = arm.confusion[truth]
        cells = [(answer, counts[answer]) for answer in places]
        yield truth, cells, sum(counts) - sum(count for _, count in cells)


@dataclass(frozen=True)
class _Headline:
    """The result in words, and how certain it is.

    Attributes:
        title: The result.
        tone: The badge's colour: ``good``, ``neutral``, ``warn`` or ``bad``.
        badge: The verdict in two words.
        verdict: The evidence for it.
    """

    title: str
    tone: str
    badge: str
    verdict: str


def _headline(data: ReportData) -> _Headline:
    evaluation = data.evaluation
    if evaluation is None:
        return _headline_without_result(data)
    best = evaluation.chosen
    comparison = best.comparison
    if comparison is None or not comparison.significant:
        tone, badge = "neutral", "No gain shown"
    elif comparison.gain > 0:
        tone, badge = "good", "\u25b2 Gain shown"
    else:
        tone, badge = "bad", "\u25bc Loss shown"
    verdict = (
        f"The arm {best.arm} was chosen on dev, before the test scores were known."
        if comparison
        else "On dev, no arm was better than the labelled examples alone."
    )
    return _Headline(evaluation.headline.removesuffix("."), tone, badge, verdict)


def _headline_without_result(data: ReportData) -> _Headline:
    if data.untrained:
        title = data.untrained.removesuffix(".")
        return _Headline(title, "neutral", "No training", "The champion stays as it is.")
    failed = next((stage for stage in data.missing if stage.failed), None)
    if data.stopped_by_gate:
        title = "Stopped by the gate: the teacher is no better than the student it was to teach"
        badge = "No result"
    elif failed is not None:
        title, badge = f"The run failed in {failed.name}", "Failed"
    else:
        title, badge = "The run has no result yet", "Unfinished"
    verdict = failed.reason if failed else "The students were not evaluated."
    return _Headline(title, "bad" if failed else "warn", badge, verdict)


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """Return the strip under the headline."""
    facts = [("Task", data.task.id)]
    if data.config is not None:
        facts += [("Teacher", data.config.teacher.model), ("Student", data.config.student.model)]
    evaluation = data.evaluation
    if evaluation is not None:
        real = evaluation.arms[0].training_examples
        facts += [
            ("Labelled examples", text.number(sum(real.values()))),
            ("Test examples", text.number(evaluation.test_examples)),
        ]
    ended = "Last stage finished" if data.missing else "Finished"
    facts.append(("Seed", str(data.seed)))
    return [*facts, (ended, data.finished)] if data.finished else facts
