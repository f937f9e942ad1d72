"""The stage that decides which synthetic examples the students learn from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daftt_core.config import CurationConfig
from daftt_core.curation.context import Surroundings, field_names
from daftt_core.curation.diversity import measure_diversity
from daftt_core.curation.duplicates import EchoIndex
from daftt_core.curation.filters import EXAMPLE_FILTERS, SET_FILTERS
from daftt_core.curation.rows import Spool
from daftt_core.curation.runner import KEPT, READ, Outcome, run_filters
from daftt_core.errors import DataError
from daftt_core.records import (
    Example,
    Heldout,
    SyntheticExample,
    iterate_jsonl,
    write_jsonl,
    write_text,
)
from daftt_core.stages import left_out
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run, StageResult, read_stage, run_stage

__all__ = ["CURATED", "FUNNEL", "SOURCES", "curate"]

CURATED = "curated"
FUNNEL = "funnel.json"
SOURCES = ("annotated", "generated")
_COMPARED = 2000  # examples of a source; more would say the same and take memory


def curate(
    run: Run,
    config: CurationConfig,
    data_digest: str,
    synthetic: Mapping[str, str],
    arms: Sequence[str],
) -> StageResult:
    """Filter what the teacher wrote.

    Writes ``annotated.jsonl``, ``generated.jsonl``, ``rejected.jsonl`` and ``funnel.json``. The
    summary holds

    - ``funnel``: for each source how many examples were ``read``, ``rejected`` (by filter, in the
      filters' order) and ``kept``; ``problems``, what made the unusable ones so; ``shortened``, how
      many the teacher read without their end; ``redacted``, how many of the kept ones were;
      ``by_label`` how many were read and kept; and ``diversity``, how different the inputs of at
      most 2,000 of the kept ones, drawn by the run's seed, are from each other and from the
      labelled ones (a :class:`Diversity`, or None where nothing can be said);
    - ``label_agreement``: the share of usable generated examples that the teacher, asked again,
      gives the label it wrote them for; None where there are none;
    - ``arms``, those that can be trained, and ``left_out``, the others and why.

    ``funnel.json`` is the same with the rejections of each label by filter.

    Args:
        run: The run.
        config: The settings.
        data_digest: Digest of the stage ``data``.
        synthetic: Digest of each stage of synthesis, by its name.
        arms: The arms that are to learn from what is kept.

    Raises:
        StorageError: A stage that is read is not finished, or was changed.
        DataError: A file does not hold what it should, or so little is kept that no arm can be
            trained.
    """
    inputs = [config, data_digest, dict(synthetic), list(arms)]

    def work(folder: Path) -> dict[str, Any]:
        around = _surroundings(run, config, data_digest)
        tally = _Tally()
        with Spool(folder) as spool:
            outcome = run_filters(tally.of(_read(run, synthetic)), around, spool)
            for source in SOURCES:
                kept = _checked(outcome.kept(source), around.heldout, tally)
                write_jsonl(folder / f"{source}.jsonl", kept)
            write_jsonl(folder / "rejected.jsonl", outcome.rejected())
            diversity = _diversity(run, data_digest, outcome)
        funnel = {
            source: {**_funnel(source, outcome, around, tally), "diversity": diversity[source]}
            for source in SOURCES
        }
        _warn_of_gaps(funnel)
        without = _leave_out(arms, funnel)
        found = {
            "funnel": funnel,
            "label_agreement": tally.label_agreement,
            "arms": [arm for arm in arms if arm not in without],
            "left_out": without,
        }
        write_text(folder / FUNNEL, json.dumps(found, indent=1) + "\n")
        return {**found, "funnel": {name: _short(counts) for name, counts in funnel.items()}}

    return run_stage(run, CURATED, inputs, work)


def _surroundings(run: Run, config: CurationConfig, data_digest: str) -> Surroundings:
    folder, _ = read_stage(run, "data", data_digest)
    labelled = list(iterate_jsonl(folder / "labelled.jsonl", Example))
    unlabelled = iterate_jsonl(folder / "unlabelled.jsonl", Example)
    return Surroundings(
        config=config,
        seed=run.seed,
        task=run.task,
        heldout=Heldout.load(folder / "heldout.json", config.overlap_words),
        labelled_ids=frozenset(example.id for example in labelled),
        unlabelled_ids=frozenset(example.id for example in unlabelled),
        echoes=EchoIndex(run.task, labelled, config.echo_words),
        own_fields=frozenset(
            name.casefold() for one in labelled for name in field_names(one.output or "")
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
    """A last look, whatever the filters did: a leak would make every score worthless."""
    for example in kept:
        other = heldout.collides(example.text, example.text_pair)
        if other is not None:
            raise DataError(
                f"curation kept example {example.id} although it overlaps with the dev or test "
                f"example {other}; the filter 'overlap' is missing or broken"
            )
        tally.redacted[example.source] += example.origin is not None
        yield example


def _diversity(run: Run, data_digest: str, outcome: Outcome) -> dict[str, Any]:
    folder, _ = read_stage(run, "data", data_digest)
    real = [_input(example) for example in iterate_jsonl(folder / "labelled.jsonl", Example)]
    measured = {}
    for source in SOURCES:
        drawn = outcome.draw(source, _COMPARED, run.seed)
        found = measure_diversity([_input(example) for example in drawn], real)
        measured[source] = found.model_dump() if found else None
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


def _funnel(source: str, outcome: Outcome, around: Surroundings, tally: _Tally) -> dict[str, Any]:
    names = [*EXAMPLE_FILTERS, *SET_FILTERS]
    total, by_label = Counter[str](), {label: Counter[str]() for label in around.task.label_names}
    for (of_source, name, label), count in outcome.counts.items():
        if of_source == source:
            total[name] += count
            if label in by_label:
                by_label[label][name] += count

    def counts(of: Counter[str]) -> dict[str, Any]:
        rejected = {name: of[name] for name in names if of[name]}
        return {"read": of[READ], "rejected": rejected, "kept": of[KEPT]}

    problems = {p: n for (of_source, p), n in sorted(tally.problems.items()) if of_source == source}
    return {
        **counts(total),
        "redacted": tally.redacted[source],
        "problems": problems,
        "shortened": tally.shortened[source],
        "by_label": {label: counts(some) for label, some in by_label.items()},
    }


def _short(funnel: Mapping[str, Any]) -> dict[str, Any]:
    labels = funnel["by_label"].items()
    short = {label: {"read": some["read"], "kept": some["kept"]} for label, some in labels}
    return {**funnel, "by_label": short}


def _warn_of_gaps(funnel: Mapping[str, Mapping[str, Any]]) -> None:
    for source, counts in funnel.items():
        if counts["read"] and not counts["kept"]:
            why = ", ".join(f"{name} {count}" for name, count in counts["rejected"].items())
            log.warning(
                "%s: none of %d %s examples is kept (%s)", CURATED, counts["read"], source, why
            )
            continue
        missing = [label for label, some in counts["by_label"].items() if not some["kept"]]
        if counts["read"] and missing:
            log.warning("%s: no %s example of %s is kept", CURATED, source, ", ".join(missing))


def _leave_out(arms: Sequence[str], funnel: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The arms that cannot be trained, and why.

    Raises:
        DataError: None of them can.
    """
    without = left_out(arms, {source: counts["kept"] for source, counts in funnel.items()})
    if arms and len(without) == len(arms):
        counts = "; ".join(_account(source, some) for source, some in funnel.items())
        raise DataError(
            f"curation kept nothing that {' or '.join(arms)} could learn from ({counts}): loosen "
            "the curation settings, or let the teacher write more"
        )
    for arm, why in without.items():
        log.warning("%s is left out: %s", arm, why)
    return without


def _account(source: str, counts: Mapping[str, Any]) -> str:
    why = ", ".join(f"{count} by {name}" for name, count in counts["rejected"].items())
    return f"{source}: {counts['read']} read" + (f", rejected {why}" if why else "")
