"""Where the data, the models and the numbers of a run come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from daftt_core.reporting.content import ReportData
from daftt_core.reporting.text import number, size
from daftt_core.stages import DATA, PREFLIGHT, STUDENTS, TEACHER, TEST, DataResult, stage_of

__all__ = ["table", "tables"]

_WEIGHTS = (".safetensors", ".bin", ".gguf")


def tables(data: ReportData) -> list[dict[str, Any]]:
    """Sources, rows, splits, files, models and software; what is unknown is left out."""
    found = (_sources(data), _rows(data), _splits(data), _dropped(data), _software(data))
    return [table for table in (*found, _files(data), _models(data)) if table["rows"]]


def table(
    name: str,
    columns: str,
    rows: list[list[str]],
    *,
    numeric: str = "",
    digests: str = "",
    folded: bool = False,
) -> dict[str, Any]:
    """A table for the template; names of columns are separated by commas."""
    return {
        "name": name,
        "columns": columns.split(","),
        "rows": rows,
        "numeric": numeric.split(","),
        "digests": digests.split(","),
        "folded": folded,
    }


def _prepared(data: ReportData) -> DataResult:
    return data.result(DATA) or DataResult()


def _sources(data: ReportData) -> dict[str, Any]:
    prepared, settings = _prepared(data), data.config.data if data.config else None
    rows = []
    for setting, sha256 in prepared.sha256.items():
        path = getattr(settings, setting, "")
        source = path or prepared.source or ""
        license_ = "" if path else prepared.license or ""
        rows.append([setting, source, license_, sha256])
    return table("Data sources", "Used for,Source,License,SHA-256", rows, digests="SHA-256")


def _rows(data: ReportData) -> dict[str, Any]:
    """What became of every row: the counts of a line add up to the rows read."""
    prepared = _prepared(data)
    rows = []
    for source, counts in prepared.rows.items():
        used = ", ".join(
            f"{number(count)} {split}" for split, count in counts.items() if split != "read"
        )
        left_out = sum(prepared.dropped.get(source, {}).values())
        rows.append([source, number(counts["read"]), used, number(left_out)])
    return table("Rows read", "Source,Rows,Used as,Left out", rows, numeric="Rows,Left out")


def _splits(data: ReportData) -> dict[str, Any]:
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
    return table("Splits", "Split,Examples,By label", rows, numeric="Examples")


def _dropped(data: ReportData) -> dict[str, Any]:
    rows = [
        [source, reason, number(count)]
        for source, reasons in _prepared(data).dropped.items()
        for reason, count in reasons.items()
    ]
    return table("Rows left out", "Source,Reason,Rows", rows, numeric="Rows")


def _files(data: ReportData) -> dict[str, Any]:
    records = [record for stage in (DATA, TEST) if (record := data.stage(stage.name))]
    rows = [
        [f"{record.name}/{file.name}", size(file.size), file.sha256]
        for record in records
        for file in record.files
    ]
    columns = "File,Size,SHA-256"
    return table("Prepared files", columns, rows, numeric="Size", digests="SHA-256", folded=True)


def _models(data: ReportData) -> dict[str, Any]:
    columns = "Model,Made from,Size of weights,SHA-256 of weights"
    return table(
        "Models",
        columns,
        list(_trained(data)),
        numeric="Size of weights",
        digests="SHA-256 of weights",
        folded=True,
    )


def _trained(data: ReportData) -> Iterator[list[str]]:
    for record in data.stages:
        stage = stage_of(record.name)
        if stage not in (TEACHER, STUDENTS):
            continue
        section = getattr(data.config, "teacher" if stage is TEACHER else "student", None)
        origin = section.model if section else ""
        for file in record.files:
            if file.name.endswith(_WEIGHTS):
                folder = f"{record.name}/{file.name}".rpartition("/")[0]
                yield [folder, origin, size(file.size), file.sha256]


def _software(data: ReportData) -> dict[str, Any]:
    checked = data.result(PREFLIGHT)
    rows = [[name, version] for name, version in checked.versions.items()] if checked else []
    return table("Software", "Name,Version", rows)
