"""Export a version as a folder for serving, which plain transformers loads, optionally with ONNX.

Nothing in the folder needs DAFTT. It appears complete or not at all, and its manifest lets whoever
copies it check every file. It holds only files that the version's manifest lists.
"""

from __future__ import annotations

import random
import string
from itertools import count, islice
from pathlib import Path

from daftt_core.errors import ConfigError, StorageError
from daftt_core.records import appearing
from daftt_core.registry.models import Lineage
from daftt_core.registry.versions import copy_version, read_lineage
from daftt_core.stages import DATA
from daftt_core.storage import commit
from daftt_core.telemetry import log
from daftt_core.workspace import Run, read_examples

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
    if not target.name.isprintable():
        raise ConfigError(f"{str(target)!r}: a folder's name must be one line of text")
    target = target.resolve()
    if target == Path.cwd():
        raise ConfigError(f"{target}: is the current folder; name a new one")
    lineage = read_lineage(registry, task, version)
    if onnx and not lineage.task.is_classification:
        raise ConfigError(f"{task}: only classifiers can be exported to ONNX; leave --onnx out")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target}: already exists; name another folder")
    try:
        with appearing(target, folder=True) as partial:
            copy_version(registry, lineage.task, version, partial)
            difference = _add_onnx(partial, lineage) if onnx else None
            commit(partial, version)
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
