"""Choosing labels by scoring each of them, never by reading a written answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logit, logsumexp

from daftt_core.engines.engine import Engine
from daftt_core.errors import ModelError
from daftt_core.records import Example
from daftt_core.tasks import NO, YES, Task, answer_prompt, answer_prompts, writing_prompt

_CONTENT_FREE = ("N/A", "[MASK]", "")
_LEAST, _MOST_ODDS = 1e-9, 700.0  # exp() of more is infinite
_CHANNEL_TOKENS = 128  # of an input, at most: each is read once for every label


class _Scorer:
    def __init__(self, engine: Engine, task: Task, *, correct_prior: bool) -> None:
        self._engine = engine
        self._task = task
        self._correct_prior = correct_prior
        self._prior: NDArray[np.float64] | None = None


class LabelScorer(_Scorer):
    """Computes uncalibrated scores of a task's labels for each input.

    A model prefers some labels whatever it is asked about. That preference is measured on inputs
    without content and divided out (Zhao et al. 2021, "Calibrate Before Use", section 5, with the
    inputs they use), before the calibration that was fitted on dev.

    Args:
        engine: Queries the teacher.
        task: A classification task; an input has one of its labels.
        correct_prior: Whether the preference is divided out.
    """

    def log_prior(self) -> NDArray[np.float64]:
        """Return the log-probability of each label for inputs without content, of shape [labels].

        It is that of the mean probability over three such inputs.
        """
        if self._prior is None:
            examples = _content_free(self._task)
            # in logarithms: a long label's probability may be too small for a number
            self._prior = logsumexp(self._score(examples), axis=0) - np.log(len(examples))
        return self._prior

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
        return np.asarray(log_softmax(_checked(self._engine.score(prompts, answers)), axis=1))


class ChannelScorer:
    """Computes how well each label explains an input: the teacher is asked the other way round.

    A small model may be a poor judge of labels and still know what an input of each label looks
    like. By Bayes' rule, with labels that are equally frequent, the probability that it gives to
    the input after each label says the same as that of the label after the input: a *noisy channel*
    (S. Min et al. 2022, "Noisy Channel Language Model Prompting for Few-Shot Text Classification",
    arXiv 2108.04106). The prompts are those by which new inputs are requested, which a teacher that
    was tuned in both directions knows.

    Args:
        engine: Queries the teacher.
        task: A classification task; an input has one of its labels.
    """

    def __init__(self, engine: Engine, task: Task) -> None:
        self._engine, self._task = engine, task

    def log_probs(self, examples: Sequence[Example]) -> NDArray[np.float64] | None:
        """Return uncalibrated log-probabilities of the task's labels, of shape [examples, labels].

        They are far too sure, as the tokens of an input count as if each were a sign of its own;
        calibration mends that. None if the engine cannot tell.
        """
        prompts = [writing_prompt(self._task, None, label) for label in self._task.label_names]
        texts = [writing_prompt(self._task, example).answer or "" for example in examples]
        scores = self._engine.read(prompts, texts, _CHANNEL_TOKENS)
        return None if scores is None else np.asarray(log_softmax(_checked(scores), axis=1))


class LabelSetScorer(_Scorer):
    """Computes, for each input, how likely each label of a multi-label task is to apply.

    The teacher is asked about each label apart, and its answers yes and no are scored, so that a
    score is of that label alone, whatever the others' are. As in :class:`LabelScorer`, what it
    prefers for inputs without content is divided out, and calibration comes afterwards.

    Args:
        engine: Queries the teacher.
        task: A multi-label task.
        correct_prior: Whether the preference is divided out.
    """

    def prior(self) -> NDArray[np.float64]:
        """Return the log-odds of each label for inputs without content, of shape [labels].

        They are those of the mean probability over three such inputs.
        """
        if self._prior is None:
            mean = expit(self._score(_content_free(self._task))).mean(axis=0)
            self._prior = np.asarray(logit(np.clip(mean, _LEAST, 1 - _LEAST)))
        return self._prior

    def log_odds(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return the uncalibrated log-odds that labels apply, of shape [examples, labels]."""
        scores = self._score(examples)
        return scores - self.prior() if self._correct_prior else scores

    def _score(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        prompts = [prompt for each in examples for prompt in answer_prompts(self._task, each)]
        scores = _checked(self._engine.score(prompts, [f" {YES}", f" {NO}"]))
        log_odds = np.clip(scores[:, 0] - scores[:, 1], -_MOST_ODDS, _MOST_ODDS)
        return np.asarray(log_odds.reshape(len(examples), len(self._task.labels)))


def _content_free(task: Task) -> list[Example]:
    paired = task.columns.text_pair is not None
    return [Example.of(text, text if paired else None) for text in _CONTENT_FREE]


def _checked(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores of shape [prompts, answers] as they are, if they are numbers."""
    if not np.isfinite(scores.max(axis=1)).all():  # the greatest is NaN where one of them is
        raise ModelError(
            "the teacher's scores of the labels are no numbers (NaN or infinite): its weights "
            "are damaged, or its training diverged; lower teacher_learning_rate"
        )
    return scores
