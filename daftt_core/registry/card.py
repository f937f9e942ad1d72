"""The model card of a version, in the form of the Hugging Face Hub.

The Hub's own library writes its heading. It names no folder of this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from daftt_core import __version__
from daftt_core.records import escape_markdown
from daftt_core.records.parsing import hub_id, hub_license
from daftt_core.registry.models import Decision, Lineage
from daftt_core.stages import CURATED, SYNTHETIC
from daftt_core.storage.assets import known_assets
from daftt_core.tasks import METRICS, prediction_code

# The Hub's names of metrics that differ from ours.
_HUB_METRICS = {
    **dict.fromkeys(("macro_f1", "example_f1", "micro_f1", "label_f1"), "f1"),
    "subset_accuracy": "accuracy",
    "matthews": "matthews_correlation",
    **dict.fromkeys(("rouge1", "rouge2", "rougeL"), "rouge"),
}
_SEVERAL = " Each is given from its own probability on, `label_thresholds` in `config.json`."
_SHOWN = (
    *("synthesis_mode", "curation_verify", "student_epochs", "student_min_steps"),
    *("student_learning_rate", "student_batch_size", "student_max_length", "seed"),
)


def write_card(lineage: Lineage, decision: Decision, *, causal: bool = False) -> str:
    """Return the card as Markdown; ``causal`` tells a causal language model from other writers."""
    task = lineage.task
    labels = ", ".join(f"`{_code(name)}`" for name in task.label_names)
    parts = [
        f"---\n{_heading(lineage, decision)}\n---",
        f"# {task.id}, version {lineage.version}",
        escape_markdown(task.description),
        *([f"Its labels are {labels}.{_SEVERAL if task.is_multilabel else ''}"] if labels else []),
        _section("How good it is", _results(decision)),
        _section("What it learned from", _origins(lineage)),
        _section("How it was made", _making(lineage)),
        _section("How to use it", _use(lineage, causal)),
        _section("What to know before using it", _limits(lineage)),
    ]
    return "\n\n".join(parts) + "\n"


def _heading(lineage: Lineage, decision: Decision) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    task = lineage.task
    kind = "text-classification" if task.is_classification else "text-generation"
    model = lineage.student.model
    asset = known_assets().get(model)
    license_ = hub_license(asset.license if asset else "")
    base = None if Path(model).exists() else hub_id(model)
    results = [
        EvalResult(
            task_type=kind,
            dataset_type=task.id,
            dataset_name=f"test examples {lineage.test_digest}",
            dataset_split="test",
            metric_type=_HUB_METRICS.get(name, name),
            metric_name=METRICS[name].title,
            metric_value=round(score, 4),
        )
        for name, score in decision.scores.items()
    ]
    data = ModelCardData(
        base_model=base.name if base else None,
        eval_results=results,
        library_name="transformers",
        license=license_["license"],
        license_name=license_.get("license_name"),
        metrics=sorted({_HUB_METRICS.get(name, name) for name in decision.scores}),
        model_name=f"{task.id}-{lineage.version}",
        pipeline_tag=kind,
        tags=["daftt", "synthetic-data"],
    )
    return data.to_yaml()


def _results(decision: Decision) -> Iterator[str]:
    yield escape_markdown(decision.reason)
    yield ""
    yield _row(["metric", f"on {decision.test_examples:,} test examples"])
    yield _row(["---", "---:"])
    for name, score in decision.scores.items():
        yield _row([METRICS[name].title, f"{score:.3f}"])
    if decision.slices:
        yield ""
        yield _row(["test examples", "number", "this version", "the champion before"])
        yield _row(["---", "---:", "---:", "---:"])
        for part in decision.slices:
            after, before = f"{part.challenger:.3f}", f"{part.champion:.3f}"
            yield _row([part.name, str(part.examples), after, before])


def _origins(lineage: Lineage) -> Iterator[str]:
    counts = lineage.training_examples
    used = ", ".join(f"{n:,} {source}" for source, n in counts.items() if n)
    yield f"- Examples: {used or 'not known'}. Arm: {lineage.arm}"
    data = lineage.data
    yield (
        f"- Real data: {escape_markdown(str(data.get('source') or 'not known'))}. "
        + escape_markdown(f"License: {data.get('license') or 'not stated; ask its owner'}")
    )
    inputs = counts.get("annotated") or counts.get("gold")
    for name, sha256 in (data.get("sha256") or {}).items():
        if name == "train" or (name == "unlabelled" and inputs):
            yield f"- SHA-256 of `data_{_code(name)}`: `{_code(str(sha256))}`"
    if not _synthetic(lineage):
        return
    teacher = lineage.teacher
    yield (
        f"- Teacher: {_named(teacher['model'])}, fine-tuned on the labelled examples (digest "
        f"`{teacher['digest'] or 'none'}`)"
    )
    for stage, digest in lineage.synthetic.items():
        source = stage.removeprefix(f"{SYNTHETIC}/").partition("-")[0]
        if stage == CURATED.name or source in _synthetic(lineage):
            yield f"- Synthetic set `{_code(stage)}`: digest `{digest}`"


def _synthetic(lineage: Lineage) -> list[str]:
    """Return the synthetic sources that it learned from."""
    sources = ("annotated", "generated")
    return [source for source in sources if lineage.training_examples.get(source)]


def _making(lineage: Lineage) -> Iterator[str]:
    yield f"- Base model: {_named(lineage.student.model)}"
    yield f"- Run `{_code(lineage.run)}`, seed {lineage.run_seed}, student {lineage.seed}"
    for name in _SHOWN:
        if name in lineage.settings:
            yield f"- `{name}`: {escape_markdown(str(lineage.settings[name]))}"
    for name, number in lineage.code.items():
        yield f"- {escape_markdown(name)}: {escape_markdown(number)}"
    for name, image in lineage.images.items():
        yield f"- Image {escape_markdown(name)}: `{_code(image)}`"


def _use(lineage: Lineage, causal: bool) -> Iterator[str]:
    student = lineage.student
    yield "```python"
    yield prediction_code(
        lineage.task,
        "this-folder",
        causal=causal,
        max_length=student.max_length,
        max_target_length=student.max_target_length,
    )
    yield "```"
    yield ""
    yield f"It was measured on inputs cut to {student.max_length} tokens."


def _limits(lineage: Lineage) -> Iterator[str]:
    if _synthetic(lineage):
        yield "- Part of what it learned from was labelled or written by a language model."
    yield "- Its scores are of these test examples; other texts may be harder."
    yield f"- Made by DAFTT {__version__}; no person has looked at its answers."


def _named(model: str) -> str:
    """Return a model's name; of a folder on this machine only the last part."""
    is_folder = model not in known_assets() and Path(model).exists()
    return escape_markdown(model.rstrip("/").rpartition("/")[2] if is_folder else model)


def _section(title: str, lines: Iterable[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"


def _code(text: str) -> str:
    """Return a text that can stand between backticks."""
    return _one_line(text).replace("`", "'")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
