"""Noticing that a training has come apart: its loss is no number any more, or has exploded."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from daftt_core.errors import TrainingError
from daftt_core.teacher.checkpoints import newest_checkpoint

EXPLODED = 2.5
"""How many times the lowest mean loss so far a mean loss must reach to count as an explosion."""

_WINDOW_STEPS = 8
_WINDOW_EXAMPLES = 64


class ExplosionRule:
    """Says when a training loss has exploded.

    Single batches differ by much (labels are easier than texts), so means are compared: of the last
    8 steps, or of as many as make 64 examples. The loss has exploded when its mean is both above
    that of the start (the first half of the first window) and ``EXPLODED`` times the lowest so far,
    the start included. The second part alone would take a loss near zero for one that explodes at
    the next hard example.

    Args:
        batch_size: Examples per optimizer step.
    """

    def __init__(self, batch_size: int) -> None:
        self.window = max(_WINDOW_STEPS, math.ceil(_WINDOW_EXAMPLES / batch_size))
        self._recent: deque[float] = deque(maxlen=self.window)
        self._start = self._lowest = math.inf

    def exploded(self, loss: float) -> bool:
        """Take in the loss of one step.

        Args:
            loss: Mean loss per answer token of the step's batch.
        """
        if not math.isfinite(loss):  # no mean that it is part of could be compared
            return True
        self._recent.append(loss)
        mean = sum(self._recent) / len(self._recent)
        if self._start == math.inf:
            if len(self._recent) == self.window // 2:
                self._start = self._lowest = mean
            return False
        if len(self._recent) < self.window:
            return False
        self._lowest = min(self._lowest, mean)
        return mean > EXPLODED * self._lowest and mean > self._start


class StopWhenDiverged(TrainerCallback):
    """Stops a training that can only waste time from here on.

    Args:
        what: Name of the work, for the message.
        batch_size: Examples per optimizer step.
    """

    def __init__(self, what: str, batch_size: int) -> None:
        self._what = what
        self._rule = ExplosionRule(batch_size)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Learn what the loss was before an interruption."""
        for entry in state.log_history:
            if "loss" in entry:
                self._rule.exploded(entry["loss"])

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Look at the numbers of the step that was just logged.

        Raises:
            TrainingError: One of them is NaN or infinite, or the loss has exploded.
        """
        found = logs or {}
        for name in ("loss", "grad_norm", "eval_loss"):
            value = found.get(name, 0.0)
            if not math.isfinite(value):
                raise self._error(args, state, f"{name} became {value}")
        if "loss" in found and self._rule.exploded(found["loss"]):
            raise self._error(
                args,
                state,
                f"the loss exploded (its mean over {self._rule.window} steps is above that of the "
                f"start and {EXPLODED:g} times the lowest; this step's is {found['loss']:.3g})",
            )

    def _error(self, args: TrainingArguments, state: TrainerState, what: str) -> TrainingError:
        good = newest_checkpoint(Path(str(args.output_dir)))
        return TrainingError(
            f"{self._what}: {what} at step {state.global_step} (last good checkpoint: "
            f"{good.name if good else 'none'}); the usual causes are a learning rate that is too "
            f"high (teacher_learning_rate is {args.learning_rate:g}), too few warm-up steps "
            f"(teacher_warmup_ratio makes {args.warmup_steps:g}), or damaged weights in the model "
            "it started from"
        )
