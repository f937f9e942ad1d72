"""Checkpoints that survive being interrupted at any moment.

A checkpoint counts once its manifest is written. Training starts again from the newest one that
counts; what was being written when the process died is removed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from daftt_core.progress import Progress
from daftt_core.storage import commit, sound_manifest

__all__ = ["CommitCheckpoints", "TellProgress", "newest_checkpoint"]


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest committed checkpoint in a folder; uncommitted ones are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    newest = None
    for path in found:
        if sound_manifest(path, "going back to the checkpoint before it") is None:
            shutil.rmtree(path)
        else:
            newest = path
    return newest


class CommitCheckpoints(TrainerCallback):
    """Writes a checkpoint's manifest after everything else in it."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Commit the checkpoint that was just written."""
        path = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        commit(path, key=path.name, summary={"step": state.global_step})


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
