"""The usage of all attempts at a stage, stored so that a killed attempt counts too.

    <stage>/.usage/<attempt>.json    usage of one attempt so far; removed once the stage is done

An attempt writes it every ten seconds, so a kill loses no more than that. In a remote run it is
stored with the stage's progress, once a minute. A finished stage's manifest has the sum of its
attempts; only work that was really done is counted, so resumed work is not counted twice.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from daftt_core.records import write_text
from daftt_core.storage import MANIFEST, Storage
from daftt_core.telemetry import Meter, Usage, log
from daftt_core.workspace.progress import PROGRESS, keep
from daftt_core.workspace.reading import stage_manifest
from daftt_core.workspace.run import Run, open_run

USAGE = ".usage"
_NOTE_SECONDS = 10.0
_NOTES_TO_KEEP = 6  # a bucket charges for each write


@contextmanager
def noted(folder: Path, meter: Meter) -> Iterator[Callable[[], Usage]]:
    """Write the usage of the block while it runs; yield a function for that of all attempts.

    Args:
        folder: The stage's folder, with the files of earlier attempts.
        meter: The meter of this attempt.
    """
    before = _sum(path.read_bytes() for path in (folder / USAGE).glob("*.json"))
    path = folder / USAGE / f"{uuid4().hex}.json"
    ended = threading.Event()
    context = copy_context()  # it knows the keeper of the stage's progress
    noting = threading.Thread(
        target=context.run, args=(_note_often, path, meter, ended), name="usage", daemon=True
    )
    noting.start()
    failed = True
    try:
        yield lambda: before + meter.usage()
        failed = False
    finally:
        ended.set()
        noting.join()
        if failed and _note(path, meter):
            keep(path)


def unfinished_usage(run: Run) -> dict[str, Usage]:
    """Return the usage of stages that are not finished, by their names.

    Raises:
        StorageError: The run's storage cannot be read.
    """
    storage = open_run(run.uri)
    notes = _local_notes(storage.folder) if storage.folder else _remote_notes(storage, run)
    texts: defaultdict[str, list[bytes]] = defaultdict(list)
    for stage, text in notes:
        texts[stage].append(text)
    return {stage: _sum(texts[stage]) for stage in sorted(texts)}


def _local_notes(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in (*folder.glob(f"*/{USAGE}/*.json"), *folder.glob(f"*/*/{USAGE}/*.json")):
        stage = path.parent.parent
        if not (stage / MANIFEST).exists():
            yield stage.relative_to(folder).as_posix(), path.read_bytes()


def _remote_notes(storage: Storage, run: Run) -> Iterator[tuple[str, bytes]]:
    for name in storage.entries(f"{PROGRESS}/"):
        prefix, _, note = name.removeprefix(f"{PROGRESS}/").partition(f"/files/{USAGE}/")
        stage, _, key = prefix.rpartition("/")
        if not note or not stage:
            continue
        manifest = stage_manifest(run, stage)
        content = storage.read(name) if manifest is None or manifest.key != key else None
        if content is not None:
            yield stage, content.data


def _sum(texts: Iterable[bytes]) -> Usage:
    total = Usage()
    for text in texts:
        try:
            total += Usage.model_validate_json(text)
        except ValidationError:
            log.debug("a file of an attempt's usage is damaged; it is left out")
    return total


def _note_often(path: Path, meter: Meter, ended: threading.Event) -> None:
    notes = 0
    while not ended.wait(_NOTE_SECONDS):
        notes += _note(path, meter)
        if notes and notes % _NOTES_TO_KEEP == 0:
            keep(path)


def _note(path: Path, meter: Meter) -> bool:
    try:
        write_text(path, meter.usage().model_dump_json())
    except OSError as error:  # must not end the work, nor hide the error that ended it
        log.debug("%s: not written: %s", path, error)
        return False
    return True
