"""Lets people review a sample of the kept examples.

``review/sheet`` holds the examples that were drawn and names their curation; ``review/marks`` holds
the findings, and the corrected examples as a data file for a later run's ``data_corrections``. The
sheet itself is a copy that leaves the run and comes back filled in. ``review/contested`` and
``review/corrected`` are the same of the most doubtful examples, whose rates of faults say nothing
about the others.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict

from daftt_core.curation.annotation_tools import Tool, files_for
from daftt_core.curation.curate import SOURCES
from daftt_core.curation.sheet import CORRECTION, QUESTIONS, Question, read_sheet, sheet_of
from daftt_core.errors import DataError, StorageError
from daftt_core.records import (
    SyntheticExample,
    iterate_jsonl,
    read_jsonl,
    seed_for,
    write_jsonl,
    write_text,
)
from daftt_core.stages import (
    CURATED,
    REVIEW_CONTESTED,
    REVIEW_CORRECTED,
    REVIEW_MARKS,
    REVIEW_SHEET,
    MarksResult,
    SheetResult,
    Stage,
)
from daftt_core.workspace import Run, StageResult, read_stage, run_stage, stage_manifest

CORRECTIONS = "corrections.jsonl"
"""The file of corrected examples, in the columns of the task; absent where there are none."""

_EXAMPLES, _RESULT = "examples.jsonl", "review.json"
_ALL = "all"
_CONFIDENCE = 0.95


class Finding(BaseModel):
    """How many of some examples have a fault.

    Attributes:
        group: ``all``, or a source.
        question: The column that was marked.
        faults: Examples with the fault.
        count: Examples reviewed.
        low: Lower end of Wilson's 95% interval of the share of faults.
        high: Its upper end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    group: str
    question: Question
    faults: int
    count: int
    low: float
    high: float

    @classmethod
    def of(cls, group: str, question: Question, faults: int, count: int) -> Finding:
        """Return a finding with its interval (Wilson, 1927; without continuity correction)."""
        from scipy.stats import binomtest  # takes a second to load

        interval = binomtest(faults, count).proportion_ci(_CONFIDENCE, method="wilson")
        return cls(
            group=group,
            question=question,
            faults=faults,
            count=count,
            low=float(interval.low),
            high=float(interval.high),
        )


class Review(BaseModel):
    """The findings of a reviewed sheet.

    Attributes:
        curated: Digest of the curation that kept the examples.
        findings: By group and question.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    curated: str
    findings: tuple[Finding, ...]


def make_sheet(
    run: Run,
    path: Path,
    count: int,
    doubts: Mapping[str, float] | None = None,
    tool: Tool | None = None,
) -> int:
    """Write a sheet of kept examples for people to mark.

    They are drawn at random by the run's seed, in proportion to each source and label, at least one
    of each (of each source where outputs are texts or sets of labels), and are in random order.
    With ``doubts`` they are the most doubtful ones, in order.

    Args:
        run: The run, with its curation finished.
        path: Where the sheet is written; the file must not exist yet.
        count: Examples to draw; all, where there are fewer.
        doubts: How doubtful each kept example is, by its id.
        tool: The annotation tool that imports the sheet, which then is a folder; None: a CSV file.

    Returns:
        The number of examples on the sheet.

    Raises:
        StorageError: The curation is not finished, or the file is there or cannot be written.
        DataError: Nothing was kept.
    """
    if path.exists():
        raise StorageError(f"{path}: is there already; read it with --read, or remove it")
    folder, manifest = read_stage(run, CURATED)
    curated = manifest.digest

    def work(stage: Path) -> SheetResult:
        if doubts is None:
            chosen = _choose(run, folder, count)
        else:
            chosen = heapq.nlargest(count, kept_examples(folder), lambda e: doubts[e.id])
        write_jsonl(stage / _EXAMPLES, chosen)
        return SheetResult(examples=len(chosen), curated=curated)

    sheet, _ = _stages(contested=doubts is not None)
    run_stage(run, sheet, [curated, count, *([dict(doubts)] if doubts else [])], work)
    drawn = read_jsonl(read_stage(run, sheet)[0] / _EXAMPLES, SyntheticExample)
    if not drawn:
        raise DataError(f"{folder}: curation kept no example, so there is nothing to review")
    try:
        if tool is None:
            # with a byte order mark: spreadsheet programs take the file for UTF-8 then
            path.write_text(sheet_of(drawn), encoding="utf-8-sig", newline="")
        else:
            _write_folder(path, files_for(tool, drawn, run.task))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    return len(drawn)


def _write_folder(path: Path, files: Mapping[str, str]) -> None:
    """Write a folder that appears with all of its files."""
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
        folder = Path(scratch) / path.name
        for name, text in files.items():
            write_text(folder / name, text)
        folder.rename(path)


def read_marks(run: Run, path: Path, *, contested: bool = False) -> StageResult[MarksResult]:
    """Read a marked sheet and commit its findings as the stage ``review/marks``.

    Args:
        run: The run.
        path: The sheet.
        contested: Whether it is the sheet of the most doubtful examples; its findings are the stage
            ``review/corrected``.

    Raises:
        StorageError: No sheet was made, or the run was curated again since.
        DataError: The sheet cannot be read; names file and line of every mistake.
    """
    sheet, marked = _stages(contested=contested)
    if stage_manifest(run, sheet) is None:
        raise StorageError(f"{run.uri}: no sheet was made of this run; make one with: daftt review")
    folder, manifest = read_stage(run, sheet)
    curated = read_stage(run, CURATED)[1].digest
    if sheet.parse(manifest.summary, str(folder)).curated != curated:
        raise StorageError(f"{run.uri}: was curated again since the sheet was made; make another")
    drawn = {example.id: example for example in read_jsonl(folder / _EXAMPLES, SyntheticExample)}
    marks = read_sheet(path, drawn, run.task)
    corrected = [
        _as_row(run, each, marks[each.id][CORRECTION])
        for each in drawn.values()
        if CORRECTION in marks[each.id] and marks[each.id]["usable"] == "y"
    ]

    def work(stage: Path) -> MarksResult:
        review = Review(curated=curated, findings=tuple(_findings(drawn, marks)))
        write_text(stage / _RESULT, review.model_dump_json(indent=1) + "\n")
        write_text(stage / "marks.json", json.dumps(marks, indent=1, sort_keys=True) + "\n")
        if corrected:
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in corrected)
            write_text(stage / CORRECTIONS, "".join(lines))
        faults = {f"{each.group} {each.question}": each.faults for each in review.findings}
        return MarksResult(**faults | {"corrections": len(corrected)})

    return run_stage(run, marked, [manifest.digest, marks], work)


def _as_row(run: Run, example: SyntheticExample, output: str) -> dict[str, str]:
    """Return a corrected example as a row of a data file."""
    columns = run.task.columns
    row = {columns.text: example.text, columns.output: output}
    return row | ({columns.text_pair: example.text_pair or ""} if columns.text_pair else {})


def read_review(run: Run) -> Review | None:
    """Return the findings about this run's kept examples; None where nobody reviewed them."""
    if stage_manifest(run, REVIEW_MARKS) is None:
        return None
    folder, _ = read_stage(run, REVIEW_MARKS)
    review = Review.model_validate_json((folder / _RESULT).read_bytes())
    curated = stage_manifest(run, CURATED)
    return review if curated is not None and review.curated == curated.digest else None


def _stages(*, contested: bool) -> tuple[Stage[SheetResult], Stage[MarksResult]]:
    """Return the stages of a sheet and of its marks."""
    if contested:
        return REVIEW_CONTESTED, REVIEW_CORRECTED
    return REVIEW_SHEET, REVIEW_MARKS


def kept_examples(folder: Path) -> Iterator[SyntheticExample]:
    """Yield what a curation kept; ``folder`` is that of its stage."""
    for source in SOURCES:
        yield from iterate_jsonl(folder / f"{source}.jsonl", SyntheticExample)


def _choose(run: Run, folder: Path, count: int) -> list[SyntheticExample]:
    def stratum(example: SyntheticExample) -> tuple[str, str]:
        by_label = run.task.is_classification and not run.task.is_multilabel
        return example.source, (example.output or "") if by_label else ""

    def draw(example: SyntheticExample) -> int:
        return seed_for(run.seed, "review", example.id)

    sizes = Counter(map(stratum, kept_examples(folder)))
    places = _shares(sizes, count)
    chosen: list[SyntheticExample] = []
    for name, size in places.items():
        members = (example for example in kept_examples(folder) if stratum(example) == name)
        chosen += heapq.nsmallest(size, members, key=draw)
    return sorted(chosen, key=draw)


def _shares(sizes: Mapping[tuple[str, str], int], count: int) -> dict[tuple[str, str], int]:
    """Return how many to draw from each stratum: in proportion, by largest remainder, minimum 1."""
    total = sum(sizes.values())
    count = min(count, total)
    exact = {name: count * size / total for name, size in sizes.items()}
    places = {name: max(1, int(share)) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))
    for name in by_remainder:
        if sum(places.values()) < count and places[name] < sizes[name]:
            places[name] += 1
    return places


def _findings(
    drawn: Mapping[str, SyntheticExample], marks: Mapping[str, Mapping[str, str]]
) -> Iterator[Finding]:
    for group in (_ALL, *SOURCES):
        members = [marks[id_] for id_, each in drawn.items() if group in (_ALL, each.source)]
        for question, (fault, _) in QUESTIONS.items():
            faults = sum(mark[question] == fault for mark in members)
            if members:
                yield Finding.of(group, question, faults, len(members))
