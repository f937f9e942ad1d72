"""The results of a sweep's cells, collected from their folders: table, curves, recommendation."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ValidationError

from daftt_core.errors import DafttError, StorageError
from daftt_core.evaluation import ArmResult, Evaluation, read_evaluation
from daftt_core.stages import ASSESSMENT, EVALUATION, REPORT, AssessmentResult
from daftt_core.storage import open_storage
from daftt_core.sweep.curves import Curve, Part, find_curves
from daftt_core.sweep.mixtures import MixtureEffect, mixture_effects
from daftt_core.sweep.plan import Cell, Sweep
from daftt_core.sweep.recommend import Recommendation, recommend
from daftt_core.workspace import StageStatus, read_result, run_statuses

TABLE = "sweep.json"


class CellResult(Part):
    """The result of one cell.

    Attributes:
        cell: Its name.
        fraction: Share of the training pool that is labelled.
        ratio: Synthetic examples of each source for every labelled one, at most; 0: no limit.
        mode: What the teacher writes.
        mixture_tasks: Other tasks that the teacher learns; 0: none.
        status: ``unfinished`` where it was interrupted, or has not begun.
        message: Why it is not done.
        exit_code: The exit code of its error; 0 without one.
        teacher: How its teacher does on dev; None until it is done.
        evaluation: How its arms compare; None until it is done.
    """

    cell: str
    fraction: float
    ratio: float
    mode: str
    mixture_tasks: int
    status: Literal["done", "failed", "unfinished"]
    message: str = ""
    exit_code: int = 0
    teacher: AssessmentResult | None = None
    evaluation: Evaluation | None = None


class SweepTable(Part):
    """The result of a sweep.

    Attributes:
        name: Its name.
        uri: Where it is.
        cells: Its cells, in the sweep's order.
        mixtures: Whether mixtures helped, where cells differ in the mixture alone.
        curves: Score against ratio, for each arm of cells that differ in the ratio alone.
        recommendation: The setting that is best on dev; None if no cell has a result.
    """

    name: str
    uri: str
    cells: tuple[CellResult, ...]
    mixtures: tuple[MixtureEffect, ...]
    curves: tuple[Curve, ...] = ()
    recommendation: Recommendation | None = None

    @property
    def lost(self) -> list[CellResult]:
        """The cells without a result."""
        return [cell for cell in self.cells if cell.status != "done"]


def collect_table(sweep: Sweep) -> SweepTable:
    """Collect the cells' results, compare them, and choose among them.

    Raises:
        StorageError: The sweep's folder cannot be read.
    """
    cells = tuple(map(_result, sweep.cells))
    scores = {cell.cell: cell.teacher for cell in cells if cell.teacher}
    results = {cell.cell: cell.evaluation for cell in cells if cell.evaluation}
    curves = tuple(find_curves(sweep.cells, results))
    return SweepTable(
        name=sweep.name,
        uri=sweep.uri,
        cells=cells,
        mixtures=tuple(mixture_effects(sweep.cells, scores)),
        curves=curves,
        recommendation=recommend(curves),
    )


def read_table(sweep: Sweep) -> SweepTable | None:
    """Read what :func:`daftt_core.sweep.page.write_table` wrote last; None if there is nothing.

    Raises:
        StorageError: It cannot be read.
    """
    content = open_storage(sweep.uri).read(TABLE)
    if content is None:
        return None
    try:
        return SweepTable.model_validate_json(content.data)
    except ValidationError:
        raise StorageError(
            f"{sweep.uri}/{TABLE}: is not a sweep's table; another version of DAFTT may have "
            "written it: run the sweep again"
        ) from None


def _result(cell: Cell) -> CellResult:
    identity: dict[str, Any] = {
        "cell": cell.name,
        "fraction": cell.fraction,
        "ratio": cell.ratio,
        "mode": cell.mode,
        "mixture_tasks": cell.mixture_tasks,
    }
    try:
        statuses = run_statuses(cell.run)
        failed = [status for status in statuses if status.state == "failed"]
        if _is_evaluated(statuses):
            return CellResult(
                **identity,
                status="done",
                teacher=read_result(cell.run, ASSESSMENT),
                evaluation=read_evaluation(cell.run),
            )
    except DafttError as error:
        return CellResult(
            **identity, status="failed", message=str(error), exit_code=error.exit_code
        )
    if failed:
        message = "; ".join(f"stage {status.stage}: {status.message}" for status in failed)
        code = failed[0].exit_code
        return CellResult(**identity, status="failed", message=message, exit_code=code)
    progress = f"it came as far as stage {statuses[-1].stage}" if statuses else "it has not begun"
    return CellResult(**identity, status="unfinished", message=progress)


def _is_evaluated(statuses: list[StageStatus]) -> bool:
    """Return whether the evaluation was done last; an older one is of other settings."""
    last = [status for status in statuses if status.stage != REPORT.name][-1:]
    return [(status.stage, status.state) for status in last] == [(EVALUATION.name, "done")]


_OF_CELL = {"cell", "fraction", "ratio", "mode", "mixture_tasks", "status"}


def arm_rows(table: SweepTable) -> Iterator[dict[str, Any]]:
    """Yield one row for each arm of each cell, or one for a cell without a result."""
    for cell in table.cells:
        row = cell.model_dump(include=_OF_CELL)
        row["teacher_dev"] = cell.teacher.dev_score if cell.teacher else None
        row["untuned_dev"] = cell.teacher.untuned_dev_score if cell.teacher else None
        if cell.evaluation is None:
            yield {**row, **_NO_ARM, "message": cell.message}
            continue
        for arm in cell.evaluation.arms:
            chosen = arm.arm == cell.evaluation.chosen_arm
            yield {**row, **_arm(arm), "chosen_on_dev": chosen, "message": ""}


def _arm(arm: ArmResult) -> dict[str, Any]:
    counts, gain = arm.training_examples, arm.comparison
    return {
        "arm": arm.arm,
        "real": counts.get("real", 0),
        "synthetic": counts.get("annotated", 0) + counts.get("generated", 0),
        "dev_mean": arm.dev_mean,
        "mean": arm.mean,
        "low": arm.interval.low,
        "high": arm.interval.high,
        "gain": gain.gain if gain else None,
        "gain_low": gain.interval.low if gain else None,
        "gain_high": gain.interval.high if gain else None,
    }


_COLUMNS = (
    *("cell", "fraction", "ratio", "mode", "mixture_tasks", "status", "teacher_dev"),
    *("untuned_dev", "arm", "real", "synthetic", "dev_mean"),
    *("mean", "low", "high", "gain", "gain_low", "gain_high", "chosen_on_dev", "message"),
)
_NO_ARM = dict.fromkeys(_COLUMNS[_COLUMNS.index("arm") : -1])


def table_csv(table: SweepTable) -> str:
    """Return the rows of :func:`arm_rows` as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(arm_rows(table))
    return text.getvalue()
