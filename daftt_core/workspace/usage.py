"""What the attempts at a stage used, kept so that an attempt that was killed is not forgotten.

    <stage>/.usage/<attempt>.json    what one attempt used so far; removed once the stage is done

An attempt notes it every ten seconds, so a kill loses no more than that. In a run at a distance it
is kept with the stage's unfinished work, once a minute. A finished stage's manifest has the sum of
its attempts; what an attempt found done by another is not in it a second time, because only what
was really done is counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
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
    """Note what the block uses while it runs; gives what it and earlier attempts used together.

    Args:
        folder: The stage's folder, with what earlier attempts left.
        meter: Of this attempt.
    """
    before = _sum(path.read_bytes() for path in (folder / USAGE).glob("*.json"))
    path = folder / USAGE / f"{uuid4().hex}.json"
    ended = threading.Event()
    context = copy_context()  # who keeps the stage's work is known in it
    noting = threading.Thread(
        target=context.run, args=(_note_often, path, meter, ended), name="usage", daemon=True
    )
    noting.start()
    try:
        yield lambda: before + meter.usage()
    except BaseException:
        _end(noting, ended)
        if _note(path, meter):
            keep(path)
        raise
    _end(noting, ended)


def unfinished_usage(run: Run) -> dict[str, Usage]:
    """What was used for stages that are not finished, by their names.

    Raises:
        StorageError: The run's storage cannot be read.
    """
    storage = open_run(run.uri)
    notes = _notes_here(storage.folder) if storage.folder else _notes_there(storage, run)
    return {name: _sum(texts) for name, texts in sorted(notes.items())}


def _notes_here(folder: Path) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for path in (*folder.glob(f"*/{USAGE}/*.json"), *folder.glob(f"*/*/{USAGE}/*.json")):
        stage = path.parent.parent
        if not (stage / MANIFEST).exists():
            found.setdefault(stage.relative_to(folder).as_posix(), []).append(path.read_bytes())
    return found


def _notes_there(storage: Storage, run: Run) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for name in storage.entries(f"{PROGRESS}/"):
        place, _, note = name.removeprefix(f"{PROGRESS}/").partition(f"/files/{USAGE}/")
        stage, _, key = place.rpartition("/")
        if not note or not stage:
            continue
        done = stage_manifest(run, stage)
        content = storage.read(name) if done is None or done.key != key else None
        if content is not None:
            found.setdefault(stage, []).append(content.data)
    return found


def _sum(texts: Iterator[bytes] | list[bytes]) -> Usage:
    total = Usage()
    for text in texts:
        try:
            total += Usage.model_validate_json(text)
        except ValidationError:
            log.debug("a note of what an attempt used is damaged; it is left out")
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


def _end(noting: threading.Thread, ended: threading.Event) -> None:
    ended.set()
    noting.join()
