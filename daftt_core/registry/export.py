"""A version as a folder for serving: what plain transformers loads, and an ONNX file if asked for.

Nothing in the folder needs DAFTT. It appears complete or not at all, and its manifest lets whoever
copies it on check every file. What the version's manifest does not list is not in it.
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

_CHECKED = 64  # inputs that an ONNX file is tried on, at most


def export_version(
    registry: str, task: str, version: str, target: Path, *, onnx: bool = False
) -> float | None:
    """Write a version's model, tokenizer and card into a folder of its own.

    Args:
        registry: Where the registry is.
        task: The task's id.
        version: The version.
        target: The folder; it must not exist, or be empty.
        onnx: Also write ``model.onnx``, checked on dev examples of the run that it comes from, or
            on random words where these are gone.

    Returns:
        The largest difference of a logit between the ONNX file and the model; None without one.

    Raises:
        ConfigError: The folder holds something, or the task has no labels and cannot be ONNX.
        ModelError: The ONNX file answers differently, or cannot be made.
        StorageError: A file does not match its manifest, or something cannot be read or written.
    """
    if not target.name.isprintable():
        raise ConfigError(f"{str(target)!r}: a folder's name must be one line of text")
    target = target.resolve()
    if target == Path.cwd():
        raise ConfigError(f"{target}: is the current folder; name one to be made")
    lineage = read_lineage(registry, task, version)
    if onnx and not lineage.task.is_classification:
        raise ConfigError(f"{task}: an ONNX file is made of classifiers only; leave --onnx out")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target}: is there already; name another folder")
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
    """Inputs to try the file on: dev examples of the version's run while these are there."""
    run = Run(uri=lineage.uri, seed=lineage.run_seed, task=lineage.task)
    try:
        dev = read_examples(run, DATA, lineage.stages.get(DATA.name), "dev")
    except StorageError:  # the run was removed, or has gone on to other data
        log.info("dev examples of run %s are gone: the file is checked on random words", run.name)
        pair = lineage.task.columns.text_pair is not None
        return [
            [_words(n), _words(_CHECKED + n)] if pair else [_words(n)]
            for n in range(1, _CHECKED + 1)
        ]
    return [[one.text, one.text_pair] if one.text_pair else [one.text] for one in dev[:_CHECKED]]


def _words(seed: int) -> str:
    """Up to a hundred words of random letters, which tokenizers cut into all kinds of parts."""
    rng = random.Random(seed)  # noqa: S311
    words = ("".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 10))) for _ in count())
    return " ".join(islice(words, rng.randint(1, 100)))
