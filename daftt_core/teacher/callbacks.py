"""Callbacks that report a training, stop it on a signal, and stop it when it has diverged."""

from __future__ import annotations

import math
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from daftt_core.distributed import Group
from daftt_core.errors import StoppedError, TrainingError
from daftt_core.teacher.checkpoints import newest_checkpoint
from daftt_core.telemetry import Progress, count_tokens, log

EXPLODED = 2.5
"""How many times the lowest mean loss so far a mean loss must reach to count as an explosion."""

_WINDOW_STEPS = 8
_WINDOW_EXAMPLES = 64


class StopGracefully(TrainerCallback):
    """On SIGTERM to any process: finishes the step, saves, and ends the training everywhere.

    It also logs where training starts, stops and resumes.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._signalled = False
        self._stopping = False
        self._stopped_at = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for SIGTERM inside the block.

        Raises:
            StoppedError: SIGTERM came, and the checkpoint it led to is committed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only a main thread hears signals
            return
        before = signal.signal(signal.SIGTERM, self._on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
        if self._stopped_at:
            raise StoppedError(
                f"teacher: told to end, and did so after {self._stopped_at}, whose checkpoint "
                "is kept; run again to resume from it"
            )

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Log where training starts."""
        if state.global_step:
            log.info("teacher: resuming after %s", _place(state))
        else:
            log.info("teacher: starting; %d steps in all", state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Agree whether to stop here: all processes must at the same step."""
        if any(self._group.from_all(self._signalled)):
            log.info(
                "teacher: told to end (SIGTERM); stopping after %s and keeping its checkpoint",
                _place(state),
            )
            self._stopping = control.should_save = control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Note that the checkpoint is committed."""
        if self._stopping:
            self._stopped_at = _place(state)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled = True


def _place(state: TrainerState) -> str:
    return f"step {state.global_step} of {state.max_steps}"


class ReportProgress(TrainerCallback):
    """Reports optimizer steps, and counts the tokens that they and measurements on dev read.

    Tokens are those of each step's examples, whatever the number of processes.

    Args:
        lengths: Tokens of each example.
        order: The examples in the order in which they are read.
        batch_size: Examples of a step.
        dev_tokens: Tokens of the examples behind each measurement on dev.
    """

    def __init__(
        self, lengths: Sequence[int], order: Sequence[int], batch_size: int, dev_tokens: int
    ) -> None:
        self._lengths, self._order, self._batch_size = lengths, order, batch_size
        self._dev_tokens = dev_tokens
        self._progress: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start counting, from where an interrupted attempt left off."""
        self._progress = Progress("train teacher", state.max_steps, "steps", done=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count one step."""
        if self._progress is not None:
            self._progress.reach(state.global_step)
        end = state.global_step * self._batch_size
        batch = self._order[end - self._batch_size : end]
        count_tokens(read=sum(self._lengths[index] for index in batch))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Count a measurement on dev."""
        count_tokens(read=self._dev_tokens)


class ExplosionRule:
    """Decides when a training loss has exploded.

    Single batches differ by much (labels are easier than texts), so means are compared: of the last
    8 steps, or of as many as make 64 examples. The loss has exploded when its mean is both above
    that of the start (the first half of the first window) and ``EXPLODED`` times the lowest so far,
    the start included. The second part alone would take a loss near zero for one that explodes at
    the next hard example.
    """

    def __init__(self, batch_size: int) -> None:
        self.window = max(_WINDOW_STEPS, math.ceil(_WINDOW_EXAMPLES / batch_size))
        self._recent: deque[float] = deque(maxlen=self.window)
        self._start = self._lowest = math.inf

    def exploded(self, loss: float) -> bool:
        """Take in one step's mean loss per answer token; return whether the loss has exploded."""
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
    """Stops a training that can only waste time from here on."""

    def __init__(self, batch_size: int) -> None:
        self._rule = ExplosionRule(batch_size)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
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
        **_: Any,
    ) -> None:
        """Check the numbers of the step that was just logged.

        Raises:
            TrainingError: One of them is NaN or infinite, or the loss has exploded.
        """
        numbers = logs or {}
        for name in ("loss", "grad_norm", "eval_loss"):
            value = numbers.get(name, 0.0)
            if not math.isfinite(value):
                raise self._error(args, state, f"{name} became {value}")
        if "loss" in numbers and self._rule.exploded(numbers["loss"]):
            raise self._error(
                args,
                state,
                f"the loss exploded (its mean over {self._rule.window} steps is above that of the "
                f"start and {EXPLODED:g} times the lowest; this step's is {numbers['loss']:.3g})",
            )

    def _error(self, args: TrainingArguments, state: TrainerState, problem: str) -> TrainingError:
        good = newest_checkpoint(Path(str(args.output_dir)))
        return TrainingError(
            f"teacher: {problem} at step {state.global_step} (last good checkpoint: "
            f"{good.name if good else 'none'}); the usual causes are a learning rate that is too "
            f"high (teacher_learning_rate is {args.learning_rate:g}), too few warm-up steps "
            f"(teacher_warmup_ratio makes {args.warmup_steps:g}), or damaged weights in the model "
            "it started from"
        )
