"""The stage that decides which synthetic examples the students learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daftt_core.arms import left_out
from daftt_core.config import CurationConfig
from daftt_core.curation.filters import FILTERS, Outcome, Surroundings, run_filters, settle
from daftt_core.errors import DataError
from daftt_core.heldout import Heldout
from daftt_core.progress import log
from daftt_core.records import SyntheticExample, read_jsonl, write_jsonl
from daftt_core.workspace import Run, StageResult, read_examples, read_stage, run_stage

__all__ = ["CURATED", "curate"]

CURATED = "curated"
_SOURCES = ("annotated", "generated")


def curate(
    run: Run,
    config: CurationConfig,
    data_digest: str,
    synthetic: Mapping[str, str],
    arms: Sequence[str],
) -> StageResult:
    """Filter what the teacher wrote.

    Writes ``annotated.jsonl``, ``generated.jsonl`` and ``rejected.jsonl``. The summary holds

    - ``funnel``: for each source how many examples were ``read``, ``rejected`` (by filter, in the
      filters' order) and ``kept``; ``problems``, what made the unusable ones so; and ``by_label``
      how many were read and kept;
    - ``label_agreement``: the share of usable generated examples that the teacher, asked again,
      gives the label it wrote them for; None where there are none;
    - ``arms``, those that can be trained, and ``left_out``, the others and why.

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
        examples = _read(run, synthetic)
        outcome = run_filters(examples, around)
        _check_no_leak(outcome.kept, around.heldout)
        for source in _SOURCES:
            kept = (example for example in outcome.kept if example.source == source)
            write_jsonl(folder / f"{source}.jsonl", kept)
        write_jsonl(folder / "rejected.jsonl", outcome.rejected)
        funnel = {source: _funnel(source, examples, outcome, around) for source in _SOURCES}
        _warn_of_gaps(funnel)
        without = _leave_out(arms, funnel)
        return {
            "funnel": funnel,
            "label_agreement": _label_agreement(examples),
            "arms": [arm for arm in arms if arm not in without],
            "left_out": without,
        }

    return run_stage(run, CURATED, inputs, work)


def _surroundings(run: Run, config: CurationConfig, data_digest: str) -> Surroundings:
    folder, _ = read_stage(run, "data", data_digest)
    ids = {
        name: frozenset(example.id for example in read_examples(run, "data", data_digest, name))
        for name in ("labelled", "unlabelled")
    }
    return Surroundings(
        config=config,
        seed=run.seed,
        task=run.task,
        heldout=Heldout.load(folder / "heldout.json", config.overlap_words),
        labelled_ids=ids["labelled"],
        unlabelled_ids=ids["unlabelled"],
    )


def _read(run: Run, synthetic: Mapping[str, str]) -> list[SyntheticExample]:
    examples: list[SyntheticExample] = []
    for stage in sorted(synthetic):
        folder, _ = read_stage(run, stage, synthetic[stage])
        examples += read_jsonl(folder / "examples.jsonl", SyntheticExample)
    return examples


def _check_no_leak(kept: Sequence[SyntheticExample], heldout: Heldout) -> None:
    """A last look, whatever the filters did: a leak would make every score worthless."""
    for example in kept:
        other = heldout.collides(example.text, example.text_pair)
        if other is not None:
            raise DataError(
                f"curation kept example {example.id} although it overlaps with the dev or test "
                f"example {other}; the filter 'overlap' is missing or broken"
            )


def _funnel(
    source: str, examples: Sequence[SyntheticExample], outcome: Outcome, around: Surroundings
) -> dict[str, Any]:
    read = [settle(e, around.config, around.task) for e in examples if e.source == source]
    kept = [example for example in outcome.kept if example.source == source]
    rejected = Counter(r.reason for r in outcome.rejected if r.example.source == source)
    read_by_label, kept_by_label = (
        Counter(example.output for example in some) for some in (read, kept)
    )
    return {
        "read": len(read),
        "rejected": {name: rejected[name] for name in FILTERS if rejected[name]},
        "kept": len(kept),
        "problems": dict(sorted(Counter(e.problem for e in read if e.problem).items())),
        "by_label": {
            label: {"read": read_by_label[label], "kept": kept_by_label[label]}
            for label in around.task.label_names
        },
    }


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


def _label_agreement(examples: Sequence[SyntheticExample]) -> float | None:
    pairs = [
        (example.asked, example.output)
        for example in examples
        if example.problem is None and example.asked is not None and example.output is not None
    ]
    return sum(asked == said for asked, said in pairs) / len(pairs) if pairs else None
