"""Deciding a label by scoring the label set, never by reading a written answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from daftt_core.engines.engine import Engine
from daftt_core.evaluation.calibration import Calibration
from daftt_core.records import Example
from daftt_core.tasks import Task, answer_prompt

__all__ = ["LabelScorer"]


class LabelScorer:
    """Gives the distribution over a task's labels for each input.

    Args:
        engine: Where the teacher is asked.
        task: A classification task.
        calibration: Applied to the scores; None leaves them as they are.
    """

    def __init__(self, engine: Engine, task: Task, calibration: Calibration | None = None) -> None:
        self._engine = engine
        self._task = task
        self._calibration = calibration

    def log_probs(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Uncalibrated log-probabilities, of shape [examples, labels], in the task's label order.

        Each label counts with its whole token sequence, and no correction for its length: the
        scores are those of complete answers, and they are normalized over the label set.
        """
        prompts = [answer_prompt(self._task, example) for example in examples]
        answers = [f" {label.verbalizer}" for label in self._task.labels]
        scores = self._engine.score(prompts, answers)
        return np.asarray(log_softmax(scores, axis=1))

    def probs(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Calibrated probabilities, of shape [examples, labels]."""
        log_probs = self.log_probs(examples)
        if self._calibration is None:
            return np.exp(log_probs)
        return self._calibration.apply(log_probs)
