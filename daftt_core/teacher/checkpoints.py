"""Checkpoints that survive being interrupted at any moment.

A checkpoint counts once its manifest is written. Training starts again from the newest one that
counts; what was being written when the process died is removed.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from daftt_core.errors import TrainingError
from daftt_core.keeping import keep
from daftt_core.progress import Progress
from daftt_core.storage import commit, sound_manifest

__all__ = ["CommitCheckpoints", "StopWhenDiverged", "TellProgress", "newest_checkpoint"]


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
        keep(path)


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


class StopWhenDiverged(TrainerCallback):
    """Stops training whose loss is no longer a number.

    Args:
        what: Name of the work, for the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Look at the loss and the gradient norm of the step that was just logged.

        Raises:
            TrainingError: One of them is NaN or infinite.
        """
        for name in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(name, 0.0)
            if not math.isfinite(value):
                good = newest_checkpoint(Path(str(args.output_dir)))
                raise TrainingError(
                    f"{self._what}: {name} became {value} at step {state.global_step} "
                    f"(last good checkpoint: {good.name if good else 'none'}); the usual causes "
                    f"are a learning rate that is too high (it is {args.learning_rate:g}), too "
                    "few warm-up steps, or damaged weights in the model it started from"
                )
