"""Export a student as a folder for serving, which plain transformers loads, optionally with ONNX.

Nothing in the folder needs DAFTT. It appears complete or not at all, and its manifest lets whoever
copies it check every file. It holds only files that the manifest of its version or run lists, and
``daftt.json``, by which ``daftt predict`` knows the task.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

from daftt_core.errors import ConfigError, StorageError
from daftt_core.evaluation import score_all
from daftt_core.records import appearing, write_text
from daftt_core.registry.card import write_card
from daftt_core.registry.chosen import Chosen
from daftt_core.registry.lineage import collect_lineage, run_config
from daftt_core.registry.models import Decision, Lineage
from daftt_core.registry.promote import read_decision
from daftt_core.registry.serving import write_facts
from daftt_core.registry.versions import CARD, copy_version, read_lineage
from daftt_core.stages import DATA, EVALUATION, PROMOTION
from daftt_core.storage import commit
from daftt_core.tasks import METRICS
from daftt_core.telemetry import log
from daftt_core.workspace import Run, read_examples, read_stage, stage_manifest

_CHECKED = 64  # inputs that an ONNX file is checked on, at most


def export_version(
    registry: str, task: str, version: str, target: Path, *, onnx: bool = False
) -> float | None:
    """Write a version's model, tokenizer and card into a folder of its own.

    Args:
        registry: Folder or prefix of the registry.
        task: The task's id.
        version: The version.
        target: The folder; it must not exist, or be empty.
        onnx: Also write ``model.onnx``, checked on dev examples of the version's run, or on random
            words if these are gone.

    Returns:
        The largest difference of a logit between the ONNX file and the model; None without one.

    Raises:
        ConfigError: The folder is not empty, or the task has no labels and cannot be ONNX.
        ModelError: The ONNX file answers differently, or cannot be written.
        StorageError: A file does not match its manifest, or something cannot be read or written.
    """
    target = _checked_target(target)
    lineage = read_lineage(registry, task, version)

    def copy(folder: Path) -> None:
        copy_version(registry, lineage.task, version, folder)

    return _export(lineage, target, copy, onnx=onnx)


def export_chosen(chosen: Chosen, target: Path, *, onnx: bool = False) -> float | None:
    """Write the student that a run chooses into a folder, as :func:`export_version` does.

    Its card says what was decided about it, or that nobody has compared it with the champion.
    Arguments, result and errors are those of :func:`export_version`.
    """
    target = _checked_target(target)
    run, student = chosen.run, chosen.student
    lineage = collect_lineage(run, student.version, chosen.arm, chosen.seed, {})
    decision = decision_about(chosen)

    def copy(folder: Path) -> None:
        student.copy(folder)
        card = write_card(lineage, decision, causal=student.is_causal(run.task))
        write_text(folder / CARD, card)

    return _export(lineage, target, copy, onnx=onnx)


def decision_about(chosen: Chosen) -> Decision:
    """Return what was decided about a run's student; where nothing was, its scores say so.

    Raises:
        StorageError: A stage is missing or was changed.
    """
    run, version = chosen.run, chosen.student.version
    if stage_manifest(run, PROMOTION) is not None:
        decision = read_decision(run)
        if decision.version == version:
            return decision
    answers = chosen.predictions()
    scores = score_all(run.task, [a.output for a in answers], [a.gold for a in answers])
    metric = chosen.evaluated.metric
    rule = run_config(run).promotion
    return Decision(
        promoted=False,
        reason=(
            f"Not compared with a champion: {chosen.arm}, seed {chosen.seed} ({version}), "
            f"{100 * scores[metric]:.1f} {METRICS[metric].title} on {len(answers):,} test examples."
        ),
        evaluation=read_stage(run, EVALUATION)[1].digest,
        rule=rule.rule,
        metric=metric,
        margin=rule.margin,
        confidence=chosen.evaluated.confidence,
        version=version,
        arm=chosen.arm,
        seed=chosen.seed,
        dev_score=chosen.dev_score,
        score=scores[metric],
        scores=scores,
        test_examples=len(answers),
    )


def _checked_target(target: Path) -> Path:
    """Return the folder that an export goes to, as an absolute path."""
    if not target.name.isprintable():
        raise ConfigError(f"{str(target)!r}: a folder's name must be one line of text")
    target = target.resolve()
    if target == Path.cwd():
        raise ConfigError(f"{target}: is the current folder; name a new one")
    return target


def _export(
    lineage: Lineage, target: Path, copy: Callable[[Path], None], *, onnx: bool
) -> float | None:
    """Write a folder that ``copy`` fills; it appears complete or not at all."""
    if onnx and not lineage.task.is_classification:
        raise ConfigError(
            f"{lineage.task.id}: only classifiers can be exported to ONNX; leave --onnx out"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target}: already exists; name another folder")
    try:
        with appearing(target, folder=True) as partial:
            copy(partial)
            write_facts(partial, lineage)
            difference = _add_onnx(partial, lineage) if onnx else None
            commit(partial, lineage.version)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}") from error
    return difference


def _add_onnx(folder: Path, lineage: Lineage) -> float:
    from daftt_core.modeling.onnx_export import export_onnx  # loads torch

    labels = lineage.task.label_names
    return export_onnx(folder, labels, _checked_on(lineage), lineage.student.max_length)


def _checked_on(lineage: Lineage) -> list[list[str]]:
    """Return inputs to check the file on: dev examples of the version's run, if any are left."""
    run = Run(uri=lineage.uri, seed=lineage.run_seed, task=lineage.task)
    try:
        dev = read_examples(run, DATA, lineage.stages.get(DATA.name), "dev")
    except StorageError:  # the run was removed, or repeated with other data
        log.info("dev examples of run %s are gone: the file is checked on random words", run.name)
        pair = lineage.task.columns.text_pair is not None
        return [
            [_words(n), _words(_CHECKED + n)] if pair else [_words(n)]
            for n in range(1, _CHECKED + 1)
        ]
    return [[e.text, e.text_pair] if e.text_pair else [e.text] for e in dev[:_CHECKED]]


def _words(seed: int) -> str:
    """Return up to a hundred words of random letters, which tokenizers split in many ways."""
    rng = random.Random(seed)  # noqa: S311
    words = ("".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 10))) for _ in count())
    return " ".join(islice(words, rng.randint(1, 100)))
