"""The data card of the synthetic examples, as Hugging Face defines it: Markdown under YAML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from daftt_core import __version__
from daftt_core.curation import QUESTIONS
from daftt_core.records.parsing import hub_license
from daftt_core.reporting.content import ReportData
from daftt_core.reporting.prose import (
    confidence_sentence,
    describe_input_prompts,
    diversity_sentence,
    made_by_teacher,
    set_aside_sentence,
)
from daftt_core.reporting.text import number, percent
from daftt_core.stages import CURATED, DATA, CuratedResult, DataResult, Funnel, LabelFunnel
from daftt_core.storage.assets import known_assets

DATA_CARD = "data-card.md"

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
_MADE = {
    "annotated": "real inputs that the teacher labelled",
    "generated": "inputs that the teacher wrote, and their outputs",
}


def write_card(data: ReportData) -> str:
    """Return the data card as Markdown; empty without synthetic examples."""
    curation = data.curation
    if curation is None:
        return ""
    heading = yaml.safe_dump(_heading(data, curation), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{heading}---",
        f"# Synthetic examples of {data.run_name}",
        f"{data.task.description} Made by DAFTT {__version__} in run `{data.run_name}`, "
        f"seed {data.seed}.",
        _section("What it is", _counts(curation)),
        _section("What it was made from", _origins(data)),
        _section("How it was made", _settings(data)),
        *(_section(f"What became of the {name} examples", _funnel(data, name, funnel))
          for name, funnel in curation.funnel.items() if funnel.read),
        _section("What people found", _review(data)),
        _section("What to know before using it", _limits(data)),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(data: ReportData, curation: CuratedResult) -> dict[str, Any]:
    kept = {name: funnel.kept for name, funnel in curation.funnel.items() if funnel.kept}
    total = sum(kept.values())
    language = data.config.curation.language if data.config else ""
    task = "text-classification" if data.task.is_classification else "text-generation"
    return {
        "pretty_name": f"Synthetic examples of {data.run_name}",
        **hub_license(_source(data).license or ""),
        **({"language": [language]} if language else {}),
        "task_categories": [task],
        "size_categories": [next((name for most, name in _SIZES if total < most), "n>1M")],
        "annotations_creators": ["machine-generated"],
        "language_creators": ["found"] * ("annotated" in kept)
        + ["machine-generated"] * ("generated" in kept),
        "tags": ["synthetic", "daftt"],
        "configs": [
            {"config_name": name, "data_files": f"../{CURATED}/{name}.jsonl"} for name in kept
        ],
    }


def _source(data: ReportData) -> DataResult:
    return data.result(DATA) or DataResult()


def _counts(curation: CuratedResult) -> Iterator[str]:
    for name, funnel in curation.funnel.items():
        if funnel.read:
            labels = ", ".join(
                f"{number(part.kept)} {label}" for label, part in funnel.by_label.items()
            )
            shown = f" ({labels})" if labels else ""
            yield f"- {number(funnel.kept)} {name} examples: {_MADE[name]}{shown}"
    yield (
        f"\nThe paths above lead from this card's folder to the run's stage `{CURATED}`. To "
        "publish them, put its files beside this card, name it `README.md`, and shorten the paths "
        "to the files' names."
    )


def _origins(data: ReportData) -> Iterator[str]:
    source = _source(data)
    license_ = source.license or "not stated; ask its owner"
    yield f"- Real data: {source.source or 'not known'}. License: {license_}"
    for name, digest in source.sha256.items():
        yield f"- SHA-256 of `data_{name}`: `{digest}`"
    if source.sizes:
        sizes = source.sizes.items()
        yield "- Splits: " + ", ".join(f"{number(size)} {name}" for name, size in sizes)
    if data.config:
        teacher = data.config.teacher.model
        asset = known_assets().get(teacher)
        terms = asset.license if asset else "see its model card; it may bind what it writes"
        yield f"- Teacher: {teacher}, fine-tuned on the labelled examples. License: {terms}"


def _settings(data: ReportData) -> Iterator[str]:
    if data.config is None:
        yield "The settings of the run are not known."
        return
    synthesis, assessment = data.config.synthesis, data.assessment
    yield f"- Mode: {synthesis.mode}"
    yield f"- Temperature of annotation: {synthesis.annotate_temperature:g}"
    yield (
        f"- Temperature of generation: {synthesis.generate_temperature:g}, top-p "
        f"{synthesis.generate_top_p:g}"
    )
    yield from (f"- {sentence}" for sentence in describe_input_prompts(data))
    if sentence := confidence_sentence(data):
        yield f"- {sentence}"
    if assessment:
        examples = number(assessment.dev_examples)
        score = percent(assessment.dev_score)
        yield f"- The teacher's {assessment.metric} on {examples} dev examples: {score}"
    for name, value in data.config.curation:
        yield f"- `curation_{name}`: {value if value != '' else '(none)'}"


def _funnel(data: ReportData, source: str, funnel: Funnel) -> Iterator[str]:
    labels = list(funnel.by_label)
    yield _row(["step", "examples", *labels])
    yield _row(["---", *["---:"] * (1 + len(labels))])
    parts: list[Funnel | LabelFunnel] = [funnel, *funnel.by_label.values()]
    yield _row([made_by_teacher(data.task, source), *(number(part.read) for part in parts)])
    for reason in funnel.rejected:
        lost = (number((part.rejected or {}).get(reason, 0)) for part in parts)
        yield _row([f"rejected: {reason}", *lost])
    yield _row(["kept", *(number(part.kept) for part in parts)])
    if problems := set_aside_sentence(funnel):
        yield f"\n{problems}"
    if funnel.diversity:
        yield f"\n{diversity_sentence(funnel.diversity)}"
    if funnel.redacted:
        yield f"\nPersonal data was replaced in {number(funnel.redacted)} of the kept examples."


def _review(data: ReportData) -> Iterator[str]:
    if data.review is None:
        yield "Nobody has reviewed a sample of it (`daftt review`)."
        return
    yield _row(["examples", "fault", "found", "rate in percent", "95% interval (Wilson)"])
    yield _row(["---", "---", "---:", "---:", "---:"])
    for finding in data.review.findings:
        faults = f"{number(finding.faults)} of {number(finding.count)}"
        rate = percent(finding.faults / finding.count)
        interval = f"{percent(finding.low)} to {percent(finding.high)}"
        yield _row([finding.group, QUESTIONS[finding.question][1], faults, rate, interval])


def _limits(data: ReportData) -> Iterator[str]:
    yield "- The outputs are a model's. They can be wrong, and carry what it was trained on."
    words = data.config.curation.overlap_words if data.config else None
    shared = f" or shares {words} words in a row with one" if words else ""
    yield f"- No example is a dev or test example of the run{shared}; other test sets may overlap."
    if data.config and data.config.curation.personal_data == "keep":
        yield "- Personal data was not looked for."
    else:
        yield "- E-mail addresses, phone and card numbers were looked for; names were not."


def _section(title: str, lines: Iterable[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    shown = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(shown)} |"
