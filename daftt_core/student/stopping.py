"""Looking at dev while a student learns: when to stop, and which weights to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from typing_extensions import override

from daftt_core.errors import TrainingError
from daftt_core.student.encoding import IGNORED


def dev_loss(model: PreTrainedModel, batches: Sequence[Mapping[str, torch.Tensor]]) -> float:
    """The mean loss over dev's examples, or over the tokens of their outputs.

    Args:
        model: The student; it is left in training mode.
        batches: Dev with its labels.
    """
    total, count = 0.0, 0
    model.train(False)
    with torch.no_grad():
        for batch in batches:
            inputs = {name: value.to(model.device) for name, value in batch.items()}
            number = int((batch["labels"] != IGNORED).sum())
            total += float(model(**inputs).loss) * number
            count += number
    model.train()
    return total / count


class BestWeights(TrainerCallback):
    """Looks at dev every few steps, remembers the best weights, and stops when patience is out."""

    def __init__(
        self, model: PreTrainedModel, look: Callable[[], float], every: int, patience: int
    ) -> None:
        """Begin.

        Args:
            model: What is trained.
            look: The loss on dev now.
            every: Steps between two looks; the last step is looked at too.
            patience: Looks without a lower loss that end the training.
        """
        self._model, self._look, self._every, self._patience = model, look, every, patience
        self._best, self._since = math.inf, 0
        self._weights: dict[str, torch.Tensor] = {}
        self.step = 0

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step % self._every and state.global_step != state.max_steps:
            return
        found = self._look()
        if math.isfinite(found) and found < self._best:
            self._best, self._since, self.step = found, 0, state.global_step
            self._weights = {k: v.detach().clone() for k, v in self._model.state_dict().items()}
        else:
            self._since += 1
            control.should_training_stop |= self._since >= self._patience

    def restore(self) -> int:
        """Give the model its best weights back; the step they are of.

        Raises:
            TrainingError: No look has found a loss that is a number.
        """
        if not self._weights:
            raise TrainingError(
                "the student's loss on dev was never a number; lower student_learning_rate"
            )
        self._model.load_state_dict(self._weights)
        return self.step
