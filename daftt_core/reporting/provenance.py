"""The report's plain tables: the origin of data and models, the settings, the decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daftt_core.config import Config, flat_fields, to_flat
from daftt_core.reporting.content import Promotion, ReportData
from daftt_core.reporting.text import gain, metric_title, number, p_value, percent, size
from daftt_core.stages import (
    DATA,
    PREFLIGHT,
    STUDENTS,
    TEACHER,
    TEST,
    DataResult,
    MixtureResult,
    stage_of,
)

_WEIGHTS = (".safetensors", ".bin", ".gguf")


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        name: Its title.
        columns: The columns' names.
        rows: A text for each column.
        numeric: Columns that hold numbers.
        digests: Columns that hold digests.
        folded: Whether it is shown only on request.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[str] = ()
    digests: Sequence[str] = ()
    folded: bool = False


def tables(data: ReportData) -> list[Table]:
    """Return sources, rows, splits, files, models and software; what is unknown is left out."""
    makers = (_sources, _rows, _splits, _dropped, _software, _files, _models)
    return [made for maker in makers if (made := maker(data)).rows]


def _prepared(data: ReportData) -> DataResult:
    return data.result(DATA) or DataResult()


def _sources(data: ReportData) -> Table:
    prepared, settings = _prepared(data), data.config.data if data.config else None
    rows = []
    for setting, sha256 in prepared.sha256.items():
        path = getattr(settings, setting, "")
        source = path or prepared.source or ""
        license_ = "" if path else prepared.license or ""
        rows.append([setting, source, license_, sha256])
    return Table(
        "Data sources", ("Used for", "Source", "License", "SHA-256"), rows, digests=("SHA-256",)
    )


def _rows(data: ReportData) -> Table:
    """Return the use of every row: the counts of a line add up to the rows read."""
    prepared = _prepared(data)
    rows = []
    for source, counts in prepared.rows.items():
        used = ", ".join(
            f"{number(count)} {split}" for split, count in counts.items() if split != "read"
        )
        left_out = sum(prepared.dropped.get(source, {}).values())
        rows.append([source, number(counts["read"]), used, number(left_out)])
    return Table(
        "Rows read",
        ("Source", "Rows", "Used as", "Left out"),
        rows,
        numeric=("Rows", "Left out"),
        folded=True,
    )


def _splits(data: ReportData) -> Table:
    prepared = _prepared(data)
    rows = [
        [
            split,
            number(count),
            ", ".join(
                f"{number(n)} {label}" for label, n in prepared.labels.get(split, {}).items()
            ),
        ]
        for split, count in prepared.sizes.items()
    ]
    columns = ("Split", "Examples", "By label")
    return Table("Splits", columns, rows, numeric=("Examples",), folded=True)


def _dropped(data: ReportData) -> Table:
    rows = [
        [source, reason, number(count)]
        for source, reasons in _prepared(data).dropped.items()
        for reason, count in reasons.items()
    ]
    columns = ("Source", "Reason", "Rows")
    return Table("Rows left out", columns, rows, numeric=("Rows",), folded=True)


def _files(data: ReportData) -> Table:
    records = [record for stage in (DATA, TEST) if (record := data.stage(stage.name))]
    rows = [
        [f"{record.name}/{file.name}", size(file.size), file.sha256]
        for record in records
        for file in record.files
    ]
    columns = ("File", "Size", "SHA-256")
    return Table(
        "Prepared files", columns, rows, numeric=("Size",), digests=("SHA-256",), folded=True
    )


def _models(data: ReportData) -> Table:
    rows = []
    for record in data.stages:
        stage = stage_of(record.name)
        if stage not in (TEACHER, STUDENTS):
            continue
        section = getattr(data.config, "teacher" if stage is TEACHER else "student", None)
        origin = section.model if section else ""
        for file in record.files:
            if file.name.endswith(_WEIGHTS):
                folder = f"{record.name}/{file.name}".rpartition("/")[0]
                rows.append([folder, origin, size(file.size), file.sha256])
    return Table(
        "Models",
        ("Model", "Made from", "Size of weights", "SHA-256 of weights"),
        rows,
        numeric=("Size of weights",),
        digests=("SHA-256 of weights",),
        folded=True,
    )


def _software(data: ReportData) -> Table:
    preflight = data.result(PREFLIGHT)
    rows = [list(pair) for pair in preflight.versions.items()] if preflight else []
    return Table("Software", ("Name", "Version"), rows, folded=True)


def mixture_tables(mixture: MixtureResult) -> list[Table]:
    """Return the tasks of the mixture, and those that were left out of it."""
    tasks = Table(
        "The mixture",
        ("Task", "Source", "License", "Instances", "SHA-256"),
        [
            [task.name, task.source, task.license, number(task.examples), task.sha256]
            for task in mixture.tasks
        ],
        numeric=("Instances",),
        digests=("SHA-256",),
    )
    left_out = [[name, reason] for name, reason in sorted(mixture.excluded.items())]
    excluded = Table("Left out of the mixture", ("Task", "Reason"), left_out, folded=True)
    return [made for made in (tasks, excluded) if made.rows]


def promotion_tables(promotion: Promotion) -> list[Table]:
    """Return the basis of the promotion's decision: parts of the test examples, and floors."""
    slices = [
        [
            part.name,
            number(part.examples),
            percent(part.champion),
            percent(part.challenger),
            gain(100 * (part.challenger - part.champion)),
            p_value(part.p),
            "falls too far" if not part.passed else "holds" if part.judged else "too few to judge",
        ]
        for part in promotion.slices
    ]
    floors = [
        [
            metric_title(part.metric),
            f"{part.score:.3f}",
            f"{part.floor:g}",
            "reached" if part.score >= part.floor else "not reached",
        ]
        for part in promotion.floors
    ]
    numbers = ("Number", "Champion", "This student", "Difference", "p")
    both = (
        Table(
            "Parts of the test examples: scores in percent",
            ("Test examples", *numbers, "Verdict"),
            slices,
            numeric=numbers,
        ),
        Table(
            "Floors", ("Metric", "Score", "Floor", "Verdict"), floors, numeric=("Score", "Floor")
        ),
    )
    return [made for made in both if made.rows]


@dataclass(frozen=True)
class Setting:
    """A setting as people read it."""

    name: str
    value: str
    default: str
    changed: bool
    description: str


def settings(config: Config) -> list[Setting]:
    """Return every setting, section by section; those that differ from their default are marked."""
    values, fields = to_flat(config), flat_fields()
    return [
        Setting(
            name=name,
            value=_value(values[name]),
            default=_value(field.default),
            changed=values[name] != field.default,
            description=field.description or "",
        )
        for name, field in fields.items()
    ]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if value != "" else "(empty)"
