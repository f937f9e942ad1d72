"""The report's sections about how a run came to its result, as the template shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from daftt_core.config import Config, flat_fields, to_flat
from daftt_core.curation import QUESTIONS, Finding
from daftt_core.evaluation import Abstention
from daftt_core.records import SyntheticExample
from daftt_core.reporting.content import Assessment, ReportData, Sample, StageRecord
from daftt_core.reporting.figures import draw_learning_curve, draw_reliability
from daftt_core.reporting.mixture import mixture
from daftt_core.reporting.prose import (
    confidence_sentence,
    diversity_sentence,
    how_inputs_were_asked_for,
    set_aside_sentence,
)
from daftt_core.reporting.text import memory, metric_title, number, percent, score, share, size
from daftt_core.stages import Funnel
from daftt_core.telemetry import duration

__all__ = ["curation", "review", "samples", "settings", "teacher", "times"]

_SOURCE_NAMES = {
    "annotated": "Annotated: real inputs, labels by the teacher",
    "generated": "Generated: inputs and labels by the teacher",
}


def teacher(data: ReportData) -> dict[str, Any] | None:
    """The gate's verdict, the dev scores behind it, and the teacher's two figures."""
    found = data.assessment
    if found is None and not data.history:
        return None
    curve = draw_learning_curve(data.history, "The teacher's loss by epoch") if data.history else ""
    view: dict[str, Any] = {
        "learning_curve": Markup(curve),  # noqa: S704  (built from numbers)
        "sentence": "The teacher was fine-tuned and not assessed.",
        "gate": [],
        "reliability": "",
        "mixture": mixture(data),
    }
    return view if found is None else view | _gate(found) | _calibration(found)


def _gate(found: Assessment) -> dict[str, Any]:
    if found.tuned_dev_score is None:
        teachers = [("teacher, fine-tuned", found.dev_score, "kept")]
    else:
        teachers = [
            (f"teacher: {found.teacher}", found.dev_score, "kept"),
            ("fine-tuned teacher, not used", found.tuned_dev_score, ""),
        ]
    scores = [
        *teachers,
        ("teacher, untuned", found.untuned_dev_score, ""),
        ("student, real examples only", found.baseline_dev_score, ""),
    ]
    verdict = "passed its gate" if found.passed else "did not pass its gate"
    metric = metric_title(found.metric)
    than = "more than" if found.passed else "not more than"
    return {
        "sentence": (
            f"The teacher {verdict}: its {metric} on dev is "
            f"{score(found.dev_score, found.metric)}, {than} the "
            f"{score(found.baseline_dev_score, found.metric)} of the student trained on real "
            "examples only."
        ),
        "gate_caption": (
            f"Scores on {number(found.dev_examples)} dev examples ({metric}), in percent"
        ),
        "gate": [
            {"name": name, "score": percent(value), "share": round(value, 4), "kind": kind}
            for name, value, kind in scores
        ],
    }


def _calibration(found: Assessment) -> dict[str, Any]:
    if not found.bins_after:
        return {}
    title = "How often the teacher is right at each confidence"
    caption = "On the dotted line, a confidence means what it says."
    if found.ece_before is not None and found.ece_after is not None:
        caption += (
            f" Expected calibration error: {found.ece_before:.3f} before calibration, "
            f"{found.ece_after:.3f} after."
        )
    if found.label_prior:
        leanings = ", ".join(f"{name} {share(prob)}" for name, prob in found.label_prior.items())
        caption += f" Of an input without content it says: {leanings}."
    if found.abstention is not None:
        caption += f" {_abstention(found.abstention)}"
    lines = [("before calibration", found.bins_before), ("after calibration", found.bins_after)]
    drawn = draw_reliability(lines, title, "reliability")
    return {
        "reliability": Markup(drawn),  # noqa: S704  (built from numbers)
        "reliability_caption": caption,
    }


def _abstention(found: Abstention) -> str:
    asked = f"so that {share(found.wanted)} of its labels are right"
    if found.threshold is None or found.precision is None:
        return f"It gives no label at all: no confidence is enough on dev, {asked}."
    return (
        f"It gives a label from a confidence of {found.threshold:.2f} on, {asked}: on dev "
        f"{share(found.coverage)} of the examples get one, and {share(found.precision)} of those "
        "are right."
    )


def curation(data: ReportData) -> dict[str, Any] | None:
    """What curation took away from each source, filter by filter."""
    if data.curation is None:
        return None
    funnels = {name: funnel for name, funnel in data.curation.funnel.items() if funnel.read}
    read = sum(funnel.read for funnel in funnels.values())
    kept = sum(funnel.kept for funnel in funnels.values())
    sentence = (
        f"Of {number(read)} examples with the teacher's labels, {number(kept)} were kept. Each "
        "step takes away what its filter rejects."
    )
    if data.curation.label_agreement is not None:
        agreement = share(data.curation.label_agreement)
        sentence += f" Asked again, the teacher gives {agreement} of its generated inputs the "
        sentence += "label it wrote them for."
    without = data.curation.left_out
    sentence += "".join(f" {arm} was left out: {why}." for arm, why in without.items())
    notes = [confidence_sentence(data), *how_inputs_were_asked_for(data)]
    return {
        "sentence": sentence,
        "notes": " ".join(filter(None, notes)),
        "funnels": [_funnel(name, funnel) for name, funnel in funnels.items()],
    }


def _funnel(source: str, funnel: Funnel) -> dict[str, Any]:
    return {
        "name": _SOURCE_NAMES[source],
        "read": number(funnel.read),
        "kept": number(funnel.kept),
        "kept_share": round(funnel.kept / funnel.read, 4),
        "share_kept": share(funnel.kept / funnel.read),
        "steps": [
            {
                "name": reason,
                "count": f"\u2212{number(count)}",
                "share": round(count / funnel.read, 4),
            }
            for reason, count in funnel.rejected.items()
        ],
        "redacted": number(funnel.redacted) if funnel.redacted else "",
        "set_aside": set_aside_sentence(funnel),
        "diversity": diversity_sentence(funnel.diversity) if funnel.diversity else "",
        "labels": list(funnel.by_label),
        "by_label": _by_label(funnel),
    }


def _by_label(funnel: Funnel) -> list[dict[str, Any]]:
    """The funnel's steps with a number for each label."""
    parts = funnel.by_label.values()
    steps = [
        ("written by the teacher", [number(part.read) for part in parts]),
        *(
            (reason, [f"\u2212{number((part.rejected or {}).get(reason, 0))}" for part in parts])
            for reason in funnel.rejected
        ),
        ("kept", [number(part.kept) for part in parts]),
    ]
    return [{"name": name, "counts": counts} for name, counts in steps] if parts else []


def review(data: ReportData) -> dict[str, Any] | None:
    """What people found in a sample of the kept examples."""
    if data.review is None:
        return None
    groups = list(dict.fromkeys(finding.group for finding in data.review.findings))
    by_place = {(finding.group, finding.question): finding for finding in data.review.findings}
    return {
        "count": number(by_place[groups[0], "usable"].count),
        "questions": [name for _, name in QUESTIONS.values()],
        "rows": [
            {
                "name": group,
                "cells": [_rate(by_place[group, question]) for question in QUESTIONS],
            }
            for group in groups
        ],
    }


def _rate(finding: Finding) -> dict[str, Any]:
    return {
        "rate": f"{percent(finding.faults / finding.count)}%",
        "interval": (percent(finding.low), percent(finding.high)),
        "counts": f"{number(finding.faults)} of {number(finding.count)}",
    }


def samples(data: ReportData) -> list[dict[str, Any]]:
    """Some kept and some rejected examples of each source."""
    return [_sample(sample) for sample in data.samples]


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "name": _SOURCE_NAMES[sample.source],
        "kept": [_example(example) for example in sample.kept],
        "rejected": [
            {**_example(entry.example), "reason": entry.reason, "detail": entry.detail}
            for entry in sample.rejected
        ],
    }


def _example(example: SyntheticExample) -> dict[str, Any]:
    notes = []
    if example.output is not None:
        of = f" of {len(example.samples)} texts" if example.samples else ""
        notes.append(f"confidence {example.confidence:.2f}{of}")
    if example.asked is not None and example.asked != example.output:
        notes.append(f"asked for: {example.asked}")
    return {
        "text": example.text,
        "text_pair": example.text_pair,
        "output": "no usable answer" if example.output is None else example.output,
        "notes": ", ".join(notes),
    }


def times(stages: Iterable[StageRecord]) -> dict[str, Any] | None:
    """Time, memory and size by stage, and in all."""
    records = list(stages)
    if not records:
        return None
    longest = max(record.seconds for record in records) or 1.0
    return {
        "rows": [
            {
                "name": record.name,
                "time": duration(record.seconds),
                "share": round(record.seconds / longest, 4),
                "memory": memory(record.peak_memory_bytes),
                "size": size(record.size_bytes),
            }
            for record in records
        ],
        "total": {
            "time": duration(sum(record.seconds for record in records)),
            "memory": memory(max(record.peak_memory_bytes for record in records)),
            "size": size(sum(record.size_bytes for record in records)),
        },
    }


def settings(config: Config | None) -> list[dict[str, Any]]:
    """Every setting by section; those that differ from their default are marked."""
    if config is None:
        return []
    values, sections = to_flat(config), []
    known = flat_fields()
    for section in Config.model_fields:
        fields = type(getattr(config, section)).model_fields
        names = [name if section == "run" else f"{section}_{name}" for name in fields]
        rows = [
            {
                "name": name,
                "value": _value(values[name]),
                "default": _value(known[name].default),
                "changed": values[name] != known[name].default,
                "description": known[name].description,
            }
            for name in names
        ]
        changed = sum(bool(row["changed"]) for row in rows)
        note = f"{changed} of {len(rows)} changed" if changed else "all defaults"
        sections.append({"name": section, "rows": rows, "changed": changed, "note": note})
    return sections


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if value != "" else "(empty)"
