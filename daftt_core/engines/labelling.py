"""Choosing a label by scoring the label set, never by reading a written answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from daftt_core.engines.engine import Engine
from daftt_core.errors import ModelError
from daftt_core.records import Example
from daftt_core.tasks import Task, answer_prompt

_CONTENT_FREE = ("N/A", "[MASK]", "")


class LabelScorer:
    """Computes uncalibrated scores of a task's labels for each input.

    A model prefers some labels whatever it is asked about. That preference is measured on inputs
    without content and divided out (Zhao et al. 2021, "Calibrate Before Use", section 5, with the
    inputs they use), before the calibration that was fitted on dev.

    Args:
        engine: Queries the teacher.
        task: A classification task.
        correct_prior: Whether the preference is divided out.
    """

    def __init__(
        self,
        engine: Engine,
        task: Task,
        *,
        correct_prior: bool,
    ) -> None:
        self._engine = engine
        self._task = task
        self._correct_prior = correct_prior
        self._log_prior: NDArray[np.float64] | None = None

    def log_prior(self) -> NDArray[np.float64]:
        """Return the log-probability of each label for inputs without content, of shape [labels].

        It is that of the mean probability over three such inputs.
        """
        if self._log_prior is None:
            paired = self._task.columns.text_pair is not None
            examples = [Example.of(text, text if paired else None) for text in _CONTENT_FREE]
            # in logarithms: a long label's probability may be too small for a number
            self._log_prior = logsumexp(self._score(examples), axis=0) - np.log(len(examples))
        return self._log_prior

    def log_probs(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return uncalibrated log-probabilities of the task's labels, of shape [examples, labels].

        Each label counts with its whole token sequence, and no correction for its length: the
        scores are those of complete answers, and they are normalized over the label set.
        """
        scores = self._score(examples)
        if not self._correct_prior:
            return scores
        return np.asarray(log_softmax(scores - self.log_prior(), axis=1))

    def _score(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        prompts = [answer_prompt(self._task, example) for example in examples]
        answers = [f" {label.verbalizer}" for label in self._task.labels]
        scores = self._engine.score(prompts, answers)
        if not np.isfinite(scores.max(axis=1)).all():  # the greatest is NaN where one of them is
            raise ModelError(
                "the teacher's scores of the labels are no numbers (NaN or infinite): its weights "
                "are damaged, or its training diverged; lower teacher_learning_rate"
            )
        return np.asarray(log_softmax(scores, axis=1))
