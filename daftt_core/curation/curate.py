"""The stage that decides which synthetic examples the students learn from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daftt_core.config import CurationConfig
from daftt_core.curation.diversity import measure_diversity
from daftt_core.curation.duplicates import EchoIndex
from daftt_core.curation.filters import EXAMPLE_FILTERS, SET_FILTERS, FilterContext, field_names
from daftt_core.curation.rows import Spool
from daftt_core.curation.runner import KEPT, READ, Outcome, run_filters
from daftt_core.errors import DataError
from daftt_core.records import (
    Example,
    SyntheticExample,
    iterate_jsonl,
    write_jsonl,
    write_text,
)
from daftt_core.records.fingerprints import Heldout
from daftt_core.stages import (
    CURATED,
    DATA,
    CuratedResult,
    Diversity,
    Funnel,
    LabelFunnel,
    left_out,
)
from daftt_core.tasks import Task
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run, StageResult, read_stage, run_stage

FUNNEL = "funnel.json"
SOURCES = ("annotated", "generated")
_COMPARED = 2000  # examples of a source; more would show the same and take memory


def curate(
    run: Run,
    config: CurationConfig,
    data_digest: str,
    synthetic: Mapping[str, str],
    arms: Sequence[str],
) -> StageResult[CuratedResult]:
    """Filter what the teacher wrote.

    Writes ``annotated.jsonl``, ``generated.jsonl``, ``rejected.jsonl`` and ``funnel.json``, the
    result with the rejections of each label by filter. Diversity is measured on at most 2,000 kept
    examples of a source, drawn by the run's seed.

    Args:
        run: The run.
        config: The settings.
        data_digest: Digest of the stage ``data``.
        synthetic: Digest of each stage of synthesis, by its name.
        arms: The arms that learn from what is kept.

    Raises:
        StorageError: A stage that is read is not finished, or was changed.
        DataError: A file is damaged, or too little is kept for any arm.
    """
    inputs = [config, data_digest, dict(synthetic), list(arms)]

    def work(folder: Path) -> CuratedResult:
        context = _context(run, config, data_digest)
        tally = _Tally()
        with Spool(folder) as spool:
            outcome = run_filters(tally.of(_read(run, synthetic)), context, spool)
            for source in SOURCES:
                kept = _checked(outcome.kept(source), context.heldout, tally)
                write_jsonl(folder / f"{source}.jsonl", kept)
            write_jsonl(folder / "rejected.jsonl", outcome.rejected())
            diversity = _diversity(run, data_digest, outcome)
        funnels = {
            source: _funnel(source, outcome, run.task, tally, diversity[source])
            for source in SOURCES
        }
        _warn_of_gaps(funnels)
        untrainable = _leave_out(arms, funnels)
        result = CuratedResult(
            funnel=funnels,
            label_agreement=tally.label_agreement,
            arms=tuple(arm for arm in arms if arm not in untrainable),
            left_out=untrainable,
        )
        write_text(folder / FUNNEL, json.dumps(result.model_dump(mode="json"), indent=1) + "\n")
        short = {source: _short(funnel) for source, funnel in funnels.items()}
        return result.model_copy(update={"funnel": short})

    return run_stage(run, CURATED, inputs, work)


def _context(run: Run, config: CurationConfig, data_digest: str) -> FilterContext:
    folder, _ = read_stage(run, DATA, data_digest)
    labelled = list(iterate_jsonl(folder / "labelled.jsonl", Example))
    unlabelled = iterate_jsonl(folder / "unlabelled.jsonl", Example)
    return FilterContext(
        config=config,
        seed=run.seed,
        task=run.task,
        heldout=Heldout.load(folder / "heldout.json", config.overlap_words),
        labelled_ids=frozenset(example.id for example in labelled),
        unlabelled_ids=frozenset(example.id for example in unlabelled),
        echoes=EchoIndex(run.task, labelled, config.echo_words),
        own_fields=frozenset(
            name.casefold() for each in labelled for name in field_names(each.output or "")
        ),
    )


def _read(run: Run, synthetic: Mapping[str, str]) -> Iterator[SyntheticExample]:
    folders = [read_stage(run, stage, synthetic[stage])[0] for stage in sorted(synthetic)]
    paths = [folder / "examples.jsonl" for folder in folders]
    progress = Progress("curate", sum(path.stat().st_size for path in paths), "bytes")
    for path in paths:
        yield from iterate_jsonl(path, SyntheticExample)
        progress.advance(path.stat().st_size)


def _checked(
    kept: Iterable[SyntheticExample], heldout: Heldout, tally: _Tally
) -> Iterator[SyntheticExample]:
    """Check for leaks once more: one would make every score worthless."""
    for example in kept:
        collision = heldout.collides(example.text, example.text_pair)
        if collision is not None:
            raise DataError(
                f"curation kept example {example.id} although it overlaps with the dev or test "
                f"example {collision}; the filter 'overlap' is missing or broken"
            )
        tally.redacted[example.source] += example.origin is not None
        yield example


def _diversity(run: Run, data_digest: str, outcome: Outcome) -> dict[str, Diversity | None]:
    folder, _ = read_stage(run, DATA, data_digest)
    real = [_input(example) for example in iterate_jsonl(folder / "labelled.jsonl", Example)]
    measured = {}
    for source in SOURCES:
        drawn = outcome.draw(source, _COMPARED, run.seed)
        measured[source] = measure_diversity([_input(example) for example in drawn], real)
    return measured


def _input(example: Example) -> str:
    return f"{example.text}\n{example.text_pair or ''}".strip()


@dataclass
class _Tally:
    """Counts what the filters do not."""

    problems: Counter[tuple[str, str]] = field(default_factory=Counter)
    redacted: Counter[str] = field(default_factory=Counter)
    shortened: Counter[str] = field(default_factory=Counter)
    agreed: int = 0
    asked: int = 0

    def of(self, examples: Iterable[SyntheticExample]) -> Iterator[SyntheticExample]:
        for example in examples:
            self.shortened[example.source] += example.shortened
            if example.problem is not None:
                self.problems[example.source, example.problem] += 1
            elif example.asked is not None and example.output is not None:
                self.asked += 1
                self.agreed += example.asked == example.output
            yield example

    @property
    def label_agreement(self) -> float | None:
        return self.agreed / self.asked if self.asked else None


def _funnel(
    source: str,
    outcome: Outcome,
    task: Task,
    tally: _Tally,
    diversity: Diversity | None,
) -> Funnel:
    names = [*EXAMPLE_FILTERS, *SET_FILTERS]
    total, by_label = Counter[str](), {label: Counter[str]() for label in task.label_names}
    for (of_source, name, output), count in outcome.counts.items():
        if of_source == source:
            total[name] += count
            for label in [] if output is None else task.labels_of(output):
                if label in by_label:
                    by_label[label][name] += count

    def rejected(counts: Counter[str]) -> dict[str, int]:
        return {name: counts[name] for name in names if counts[name]}

    problems = {p: n for (of_source, p), n in sorted(tally.problems.items()) if of_source == source}
    return Funnel(
        read=total[READ],
        rejected=rejected(total),
        kept=total[KEPT],
        redacted=tally.redacted[source],
        problems=problems,
        shortened=tally.shortened[source],
        by_label={
            label: LabelFunnel(read=counts[READ], rejected=rejected(counts), kept=counts[KEPT])
            for label, counts in by_label.items()
        },
        diversity=diversity,
    )


def _short(funnel: Funnel) -> Funnel:
    """Return a funnel without the rejections of each label."""
    by_label = {
        label: part.model_copy(update={"rejected": None}) for label, part in funnel.by_label.items()
    }
    return funnel.model_copy(update={"by_label": by_label})


def _warn_of_gaps(funnels: Mapping[str, Funnel]) -> None:
    for source, funnel in funnels.items():
        if funnel.read and not funnel.kept:
            reasons = ", ".join(f"{name} {count}" for name, count in funnel.rejected.items())
            log.warning(
                "%s: none of %d %s examples is kept (%s)", CURATED, funnel.read, source, reasons
            )
            continue
        missing = [label for label, part in funnel.by_label.items() if not part.kept]
        if funnel.read and missing:
            log.warning("%s: no %s example of %s is kept", CURATED, source, ", ".join(missing))


def _leave_out(arms: Sequence[str], funnels: Mapping[str, Funnel]) -> dict[str, str]:
    """Return the arms that cannot be trained, and why.

    Raises:
        DataError: None of them can.
    """
    untrainable = left_out(arms, {source: funnel.kept for source, funnel in funnels.items()})
    if arms and len(untrainable) == len(arms):
        counts = "; ".join(_account(source, funnel) for source, funnel in funnels.items())
        raise DataError(
            f"curation kept nothing that {' or '.join(arms)} could learn from ({counts}): loosen "
            "the curation settings, or let the teacher write more"
        )
    for arm, reason in untrainable.items():
        log.warning("%s is left out: %s", arm, reason)
    return untrainable


def _account(source: str, funnel: Funnel) -> str:
    reasons = ", ".join(f"{count} by {name}" for name, count in funnel.rejected.items())
    return f"{source}: {funnel.read} read" + (f", rejected {reasons}" if reasons else "")
