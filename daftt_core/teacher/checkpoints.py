"""Checkpoints that survive being interrupted at any moment, whatever the number of processes.

A checkpoint counts once its manifest is written, after every process has written its part. Training
starts again from the newest one that counts; what was being written when a process died is removed.
Older ones go only once a newer one counts. One that remembers better weights than those that are
kept beside it does not count either: its training would end with weights that are gone.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from daftt_core.config import TeacherConfig
from daftt_core.distributed import Group
from daftt_core.errors import StoppedError, TrainingError
from daftt_core.storage import MANIFEST, commit, read_manifest, sound_manifest
from daftt_core.teacher.best import best_weights, lowest_loss
from daftt_core.telemetry import Progress, count_tokens, log
from daftt_core.workspace.progress import keep

_GO_BACK = "going back to the checkpoint before it"


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest committed checkpoint in a folder."""
    return max(_sound(folder)[0], key=_step, default=None)


def agreed_checkpoint(group: Group, folder: Path, config: TeacherConfig) -> Path | None:
    """The newest checkpoint that every machine has; what does not count is removed.

    Args:
        group: All processes, each of which has to call this.
        folder: The folder of the checkpoints, here.
        config: The teacher's settings.

    Returns:
        None where training starts from the beginning.

    Raises:
        TrainingError: The checkpoint is divided among another number of processes.
    """
    sound, unsound = _sound(folder) if group.commits else ([], [])
    steps = {_step(path) for path in sound}
    there = [one for one in group.from_all(steps if group.commits else None) if one is not None]
    agreed = max(set.intersection(*there), default=0)
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
            f"{path}: is divided among {written_by} processes and cannot be gone on with by "
            f"{group.rank.count}; train with {written_by} again, or remove it to start anew"
        )
    return path


def _sound(folder: Path) -> tuple[list[Path], list[Path]]:
    """The checkpoints that are committed and whole, and those that are not."""
    sound: list[Path] = []
    unsound: list[Path] = []
    best = best_weights(folder)
    for path in folder.glob("checkpoint-*"):
        manifest = sound_manifest(path, _GO_BACK)
        lowest = manifest.summary.get("best_dev_loss") if manifest else None
        lost = lowest is not None and (best is None or best.dev_loss > lowest)
        if lost:
            log.warning("%s: the best weights before it are missing; %s", path, _GO_BACK)
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
                "best_dev_loss": lowest_loss(state),
            }
            commit(path, key=path.name, summary=summary)
            keep(path)
            for old in sorted(folder.glob("checkpoint-*"), key=_step)[: -self._count]:
                _remove(old)
        self._group.wait_for_all()


class StopInGoodOrder(TrainerCallback):
    """On SIGTERM to any process: finishes the step, saves, and ends the training everywhere.

    The log has where training starts, where it stops and where it is resumed.

    Args:
        group: All processes.
        what: Name of the work, for messages.
    """

    def __init__(self, group: Group, what: str) -> None:
        self._group, self._what = group, what
        self._told = False
        self._stopping = False
        self._stopped_at = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside the block SIGTERM is heard; after it, it ends in an error if it was.

        Raises:
            StoppedError: SIGTERM came, and the checkpoint it led to is committed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only a main thread hears signals
            return
        before = signal.signal(signal.SIGTERM, self._tell)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
        if self._stopped_at:
            raise StoppedError(
                f"{self._what}: told to end, and did so after {self._stopped_at}, whose checkpoint "
                "is kept; run again to resume from it"
            )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Say where it starts."""
        if state.global_step:
            log.info("%s: resuming after %s", self._what, _place(state))
        else:
            log.info("%s: starting; %d steps in all", self._what, state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Agree whether to stop here: all processes must at the same step."""
        if any(self._group.from_all(self._told)):
            log.info(
                "%s: told to end (SIGTERM); stopping after %s and keeping its checkpoint",
                self._what,
                _place(state),
            )
            self._stopping = control.should_save = control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Note that the checkpoint is committed."""
        if self._stopping:
            self._stopped_at = _place(state)

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True


def _place(state: TrainerState) -> str:
    return f"step {state.global_step} of {state.max_steps}"


class TellProgress(TrainerCallback):
    """Reports optimizer steps.

    Args:
        what: Name of the work.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._progress: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start counting, from where an interrupted attempt left off."""
        self._progress = Progress(self._what, state.max_steps, "steps", done=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count one step."""
        if self._progress is not None:
            self._progress.reach(state.global_step)


class CountTokens(TrainerCallback):
    """Counts the tokens of each step's examples, by whatever number of processes they are read.

    Args:
        lengths: Tokens of each example.
        order: The examples in the order in which they are read.
        batch_size: Examples of a step.
        checked: Tokens of the examples behind each measurement on dev.
    """

    def __init__(
        self, lengths: Sequence[int], order: Sequence[int], batch_size: int, *, checked: int
    ) -> None:
        self._lengths, self._order, self._batch_size = lengths, order, batch_size
        self._checked = checked

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count one step's."""
        end = state.global_step * self._batch_size
        batch = self._order[end - self._batch_size : end]
        count_tokens(read=sum(self._lengths[index] for index in batch))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count a measurement on dev."""
        count_tokens(read=self._checked)
