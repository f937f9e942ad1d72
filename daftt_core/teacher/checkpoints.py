"""Checkpoints and best weights that survive being interrupted at any moment, with any processes.

A checkpoint counts once its manifest is written, after every process has written its part. Training
resumes from the newest one that counts; what was being written when a process died is removed.
Older ones are removed only once a newer one counts. A checkpoint that remembers better weights than
those that are kept beside it does not count either: its training would end with weights that are
gone.

    checkpoint-<step>/    to resume from: weights, optimizer, random state
    best-<step>/          the weights with the lowest loss on dev so far
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from daftt_core.config import TeacherConfig
from daftt_core.distributed import Group
from daftt_core.errors import TrainingError
from daftt_core.records import link_file
from daftt_core.storage import MANIFEST, commit, read_manifest, sound_manifest
from daftt_core.telemetry import log
from daftt_core.workspace.progress import keep

_FALLBACK = "going back to the checkpoint before it"


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest committed checkpoint in a folder."""
    return max(_sound(folder)[0], key=_step, default=None)


def agreed_checkpoint(group: Group, folder: Path, config: TeacherConfig) -> Path | None:
    """Return the newest checkpoint that every machine has, if any; remove what does not count.

    Each process has to call this, with the folder of the checkpoints on its machine.

    Raises:
        TrainingError: The checkpoint is divided among another number of processes.
    """
    sound, unsound = _sound(folder) if group.commits else ([], [])
    steps = {_step(path) for path in sound}
    by_machine = [
        steps_there
        for steps_there in group.from_all(steps if group.commits else None)
        if steps_there is not None
    ]
    agreed = max(set.intersection(*by_machine), default=0)
    for path in unsound + [path for path in sound if _step(path) > agreed]:
        _remove(path)
    group.wait_for_all()
    if not agreed:
        return None
    path = folder / f"checkpoint-{agreed}"
    manifest = read_manifest(path)
    written_by = manifest.summary["processes"] if manifest else 0
    if config.zero_stage and written_by != group.rank.count:
        raise TrainingError(
            f"{path}: is divided among {written_by} processes and cannot be resumed by "
            f"{group.rank.count}; train with {written_by} again, or remove it to start over"
        )
    return path


def _sound(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the checkpoints that are committed and whole, and those that are not."""
    sound: list[Path] = []
    unsound: list[Path] = []
    best = best_weights(folder)
    for path in folder.glob("checkpoint-*"):
        manifest = sound_manifest(path, _FALLBACK)
        lowest = manifest.summary.get("best_dev_loss") if manifest else None
        lost = lowest is not None and (best is None or best.dev_loss > lowest)
        if lost:
            log.warning("%s: the best weights before it are missing; %s", path, _FALLBACK)
        (unsound if manifest is None or lost else sound).append(path)
    return sound, unsound


def _step(path: Path) -> int:
    return int(path.name.split("-")[1])


def _remove(path: Path) -> None:
    (path / MANIFEST).unlink(missing_ok=True)  # first: half of it must not count
    shutil.rmtree(path)


class CommitCheckpoints(TrainerCallback):
    """Writes a checkpoint's manifest after everything else in it, and removes older ones.

    Args:
        group: All processes.
        count: How many checkpoints are kept, the newest.
    """

    def __init__(self, group: Group, count: int) -> None:
        self._group, self._count = group, count

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Commit the checkpoint that was just written."""
        self._group.wait_for_all()  # each process has written its part
        if self._group.commits:
            folder = Path(str(args.output_dir))
            path = folder / f"checkpoint-{state.global_step}"
            summary = {
                "step": state.global_step,
                "processes": self._group.rank.count,
                "best_dev_loss": min(_dev_losses(state), default=None),
            }
            commit(path, key=path.name, summary=summary)
            keep(path)
            for old in sorted(folder.glob("checkpoint-*"), key=_step)[: -self._count]:
                _remove(old)
        self._group.wait_for_all()


@dataclass(frozen=True)
class Best:
    """The weights with the lowest loss on dev.

    Attributes:
        folder: Their folder.
        step: The optimizer step after which they were saved.
        dev_loss: Their loss on dev.
        files: The names of their files.
    """

    folder: Path
    step: int
    dev_loss: float
    files: tuple[str, ...]


def best_weights(checkpoints: Path) -> Best | None:
    """Return the best weights that are committed in a training's folder; None if there are none."""
    committed = [
        Best(
            path,
            manifest.summary["step"],
            manifest.summary["dev_loss"],
            tuple(file.name for file in manifest.files),
        )
        for path in checkpoints.glob("best-*")
        if (manifest := sound_manifest(path, "taking those before them"))
    ]
    return min(committed, key=lambda best: (best.dev_loss, best.step), default=None)


def take_weights(best: Best, folder: Path) -> None:
    """Link weights, and what else belongs to the model, into another folder.

    They also stay where they are: a training that is killed before its stage is committed resumes
    from its checkpoint, which needs them.
    """
    for name in best.files:
        link_file(best.folder / name, folder / name)


class KeepBest(TrainerCallback):
    """Saves the weights whenever the loss on dev is lower than ever before.

    Earlier losses are read from the training's own history, which checkpoints carry, so that a
    resumed training remembers them.

    Args:
        save: Writes the weights, without the optimizer's state, into a folder; every process
            calls it, and process 0 writes.
        group: All processes.
        patience: Evaluations without a better one after which training stops; 0: never.
    """

    def __init__(self, save: Callable[[Path], None], group: Group, patience: int) -> None:
        self._save = save
        self._group = group
        self._patience = patience

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Measure the last weights too, where the last epoch is incomplete."""
        if state.global_step == state.max_steps:
            control.should_evaluate = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Compare the loss that was just measured with those before it."""
        # NaN is below nothing and nothing is below it
        losses = [loss if math.isfinite(loss) else math.inf for loss in _dev_losses(state)]
        lowest = min(losses)
        since = len(losses) - 1 - losses.index(lowest)
        if since == 0 and lowest < math.inf:
            self._commit(Path(str(args.output_dir)), state.global_step, lowest)
        elif self._patience and since >= self._patience:
            log.info(
                "teacher: stopped early: %d times in a row the loss on dev was not below %.4f",
                since,
                lowest,
            )
            control.should_training_stop = True
            # A training that is killed from here on is resumed from before this measurement and
            # ends with it again; from a checkpoint after it, it would continue beyond its end.
            control.should_save = False

    def _commit(self, checkpoints: Path, step: int, loss: float) -> None:
        folder = checkpoints / f"best-{step}"
        self._save(folder)
        if not self._group.commits:
            return
        folder.mkdir(parents=True, exist_ok=True)  # a further machine has no part of it
        commit(folder, folder.name, summary={"step": step, "dev_loss": loss})
        for path in checkpoints.glob("best-*"):
            if path != folder:
                _remove(path)
        keep(folder)


def _dev_losses(state: TrainerState) -> list[float]:
    return [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
