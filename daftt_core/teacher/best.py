"""Keeping the weights that were best on dev, and stopping when none better come."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from daftt_core.keeping import keep
from daftt_core.progress import log
from daftt_core.storage import MANIFEST, commit
from daftt_core.teacher.together import Group

__all__ = ["KeepBest", "take_best"]


class KeepBest(TrainerCallback):
    """Saves the weights whenever the loss on dev is lower than it ever was.

    What was best is read from the training's own history, which checkpoints carry, so that a
    training that goes on remembers it.

    Args:
        group: All processes.
        save: Writes the weights, without the optimizer's state, into a folder; every process
            calls it.
        folder: Where the best weights are kept.
        patience: Evaluations without a better one after which training stops; 0: never.
    """

    def __init__(
        self, group: Group, save: Callable[[Path], None], folder: Path, patience: int
    ) -> None:
        self._group = group
        self._save = save
        self._folder = folder
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
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        best = losses.index(min(losses))
        since = len(losses) - 1 - best
        if since == 0:
            self._keep(state, losses[best])
        elif self._patience and since >= self._patience:
            log.info(
                "teacher: stopping early: %d evaluations without a lower loss on dev than %.4f",
                since,
                losses[best],
            )
            control.should_training_stop = True

    def _keep(self, state: TrainerState, loss: float) -> None:
        if self._group.commits:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
        self._save(self._folder)
        if self._group.commits:
            commit(self._folder, "best", summary={"step": state.global_step, "dev_loss": loss})
            keep(self._folder)


def take_best(best: Path, folder: Path) -> None:
    """Move the best weights, and what else belongs to the model, into a folder.

    Args:
        best: Where :class:`KeepBest` kept them.
        folder: Where to.
    """
    for path in best.iterdir():
        if path.name != MANIFEST:
            path.replace(folder / path.name)
