"""Keeping the weights that were best on dev, and stopping when none better come."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from daftt_core.distributed import Group
from daftt_core.records import link_file
from daftt_core.storage import MANIFEST, commit, sound_manifest
from daftt_core.telemetry import log
from daftt_core.workspace.progress import keep


@dataclass(frozen=True)
class Best:
    """The weights that were best on dev.

    Attributes:
        folder: Where they are.
        step: The optimizer step after which they were saved.
        dev_loss: Their loss on dev.
        files: Their files' names in it.
    """

    folder: Path
    step: int
    dev_loss: float
    files: tuple[str, ...]


def best_weights(checkpoints: Path) -> Best | None:
    """The best weights that are committed in a folder; None where there are none.

    Args:
        checkpoints: The folder that holds the training's checkpoints too.
    """
    found = [
        Best(
            path,
            manifest.summary["step"],
            manifest.summary["dev_loss"],
            tuple(file.name for file in manifest.files),
        )
        for path in checkpoints.glob("best-*")
        if (manifest := sound_manifest(path, "taking those before them"))
    ]
    return min(found, key=lambda best: (best.dev_loss, best.step), default=None)


def lowest_loss(state: TrainerState) -> float | None:
    """The lowest loss on dev in a training's history; None before the first measurement."""
    return min((one["eval_loss"] for one in state.log_history if "eval_loss" in one), default=None)


def take_weights(best: Best, folder: Path) -> None:
    """Have weights, and what else belongs to the model, in another folder too.

    They stay where they are: a training that is killed before its stage is committed is resumed
    from its checkpoint, which needs them.
    """
    for name in best.files:
        link_file(best.folder / name, folder / name)


class KeepBest(TrainerCallback):
    """Saves the weights whenever the loss on dev is lower than it ever was.

    What was best is read from the training's own history, which checkpoints carry, so that a
    training that goes on remembers it.

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
        """See to it that the last weights are measured too, where the last epoch is incomplete."""
        if state.global_step == state.max_steps:
            control.should_evaluate = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Compare the loss that was just measured with those before it."""
        found = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        # NaN is below nothing and nothing is below it
        losses = [loss if math.isfinite(loss) else math.inf for loss in found]
        lowest = min(losses)
        since = len(losses) - 1 - losses.index(lowest)
        if since == 0 and lowest < math.inf:
            self._keep(Path(str(args.output_dir)), state.global_step, lowest)
        elif self._patience and since >= self._patience:
            log.info(
                "teacher: stopped early: %d times in a row the loss on dev was not below %.4f",
                since,
                lowest,
            )
            control.should_training_stop = True
            # A training that is killed from here on is resumed from before this measurement and
            # ends with it again; from a checkpoint after it, it would go on beyond its end.
            control.should_save = False

    def _keep(self, checkpoints: Path, step: int, loss: float) -> None:
        folder = checkpoints / f"best-{step}"
        self._save(folder)
        if not self._group.commits:
            return
        folder.mkdir(parents=True, exist_ok=True)  # a further machine has no part of it
        commit(folder, folder.name, summary={"step": step, "dev_loss": loss})
        for path in checkpoints.glob("best-*"):
            if path != folder:
                (path / MANIFEST).unlink(missing_ok=True)
                shutil.rmtree(path)
        keep(folder)
