"""Predictions of students."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from daftt_core.config import StudentConfig
from daftt_core.errors import DataError, ModelError
from daftt_core.evaluation.label_sets import probability_matrix
from daftt_core.modeling import load_classifier, load_text_to_text
from daftt_core.modeling.pooling import mean_at_once
from daftt_core.records import Example, Prediction
from daftt_core.student.encoding import Encoded, Reading, encode
from daftt_core.student.processes import students_at_once, work_on
from daftt_core.tasks import Task
from daftt_core.telemetry import count_tokens

_BATCH_SIZE = 64
_LEAST_PROBABILITY = 1e-6  # as far as predictions are stored
_BATCH_TOKENS = 1024
"""Tokens of a classifier's batch on a CPU, whose caches hold what more of them leave behind."""


@dataclass(frozen=True)
class Answer:
    """A student's output for one example, and the probability of every label, if there are any.

    Those of labels that may be given together do not sum to 1.
    """

    output: str
    distribution: dict[str, float]


class Questions:
    """Examples that students of one model and configuration answer; they are tokenized once.

    Attributes:
        seconds: Time that students took for their answers, without loading and tokenization; of
            one core where they answer side by side.
        answered: Number of these answers.
    """

    def __init__(self, task: Task, config: StudentConfig, examples: Sequence[Example]) -> None:
        self.seconds = 0.0
        self.answered = 0
        self._examples = examples
        self._task, self._config = task, config
        self._encoded: tuple[Reading, Encoded] | None = None

    def ask(
        self, student: Path, arm: str, seed: int, on_batch: Callable[[int], None]
    ) -> list[Prediction]:
        """Return the predictions of a student, in the order of the examples.

        Args:
            student: Its folder.
            arm: Its arm.
            seed: Its number among the arm's students.
            on_batch: Called after each batch with its number of examples.

        Raises:
            DataError: An example has no output to compare an answer with.
            ModelError: The student cannot be loaded, or its scores are NaN.
        """
        golds = list(map(_gold, self._examples))
        return self._predictions(golds, arm, seed, self._answers(student, on_batch))

    def ask_all(
        self, students: Sequence[Path], arm: str, on_batch: Callable[[int], None]
    ) -> list[list[Prediction]]:
        """Return the predictions of an arm's students; on a CPU small ones answer side by side.

        Args:
            students: Their folders, by their numbers.
            arm: Their arm.
            on_batch: Called after each batch with its number of examples.

        Raises:
            DataError: An example has no output to compare an answer with.
            ModelError: A student cannot be loaded, or its scores are NaN.
        """
        golds = list(map(_gold, self._examples))
        model, tokenizer = _load(students[0], self._task)
        self._encode(model, tokenizer)  # before processes begin, for all of them
        at_once = students_at_once(len(students), model.num_parameters())
        del model
        jobs = [partial(self._answers, student) for student in students]
        answers = dict(work_on(jobs, at_once, on_batch))
        return [self._predictions(golds, arm, seed, answers[seed]) for seed in range(len(students))]

    def _predictions(
        self, golds: Sequence[str], arm: str, seed: int, answered: tuple[list[Answer], float]
    ) -> list[Prediction]:
        answers, seconds = answered
        self.seconds += seconds
        self.answered += len(answers)
        return [
            Prediction(
                id=example.id,
                arm=arm,
                seed=seed,
                gold=gold,
                output=given.output,
                distribution=given.distribution,
            )
            for example, gold, given in zip(self._examples, golds, answers, strict=True)
        ]

    def _answers(
        self, student: Path, on_batch: Callable[[int], None]
    ) -> tuple[list[Answer], float]:
        """Return a student's answers, and the time that they took in seconds."""
        model, tokenizer = _load(student, self._task)
        encoded = self._encode(model, tokenizer)
        # With one thread the time of its core counts, which others may want as well.
        alone = model.device.type == "cpu" and torch.get_num_threads() == 1
        clock = time.process_time if alone else time.monotonic
        started = clock()
        answers = answer(model, tokenizer, *encoded, on_batch)
        return answers, clock() - started

    def _encode(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[Reading, Encoded]:
        if self._encoded is None:
            config = self._config
            reading = Reading.of(
                self._task, model, tokenizer, config.max_length, config.max_target_length
            )
            self._encoded = reading, encode(tokenizer, reading, self._examples, outputs=False)
        return self._encoded


class Predictor:
    """A finished student that answers inputs as they come.

    Args:
        student: Its folder, or the place of one in a bucket.
        task: Its task.
        max_length: Greatest length of an input in tokens.
        max_target_length: Greatest length of an output text in tokens.

    Attributes:
        cut: Inputs so far that were too long and lost their ends.

    Raises:
        ModelError: The student cannot be loaded, or was trained for other labels.
    """

    def __init__(
        self, student: Path | str, task: Task, max_length: int, max_target_length: int
    ) -> None:
        self._model, self._tokenizer = _load(student, task)
        self._reading = Reading.of(
            task, self._model, self._tokenizer, max_length, max_target_length
        )
        self.cut = 0

    def answer(self, examples: Sequence[Example], on_batch: Callable[[int], None]) -> list[Answer]:
        """Return the answers to examples, in their order; their outputs are not looked at.

        Args:
            examples: At least one.
            on_batch: Called after each batch with its number of examples.

        Raises:
            ModelError: The student's scores are NaN.
        """
        questions = encode(self._tokenizer, self._reading, examples, outputs=False)
        self.cut += questions.truncated["inputs"]
        return answer(self._model, self._tokenizer, self._reading, questions, on_batch)


class Panel:
    """The students of an arm as one classifier: the mean of their probabilities.

    Args:
        students: The arm's folder.
        task: A classification task.
        config: The settings that they were trained with.

    Raises:
        ModelError: A student cannot be loaded.
    """

    def __init__(self, students: Path, task: Task, config: StudentConfig) -> None:
        self._task = task
        self._members = [
            Predictor(students / f"seed-{seed}", task, config.max_length, config.max_target_length)
            for seed in range(config.seeds)
        ]

    def log_probs(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return the log-probability of every label, of shape [examples, labels].

        Raises:
            ModelError: A student's scores are NaN.
        """
        answers = [member.answer(examples, lambda _: None) for member in self._members]
        return mean_log_probs([[one.distribution for one in each] for each in answers], self._task)


def mean_log_probs(
    distributions: Sequence[Sequence[Mapping[str, float]]], task: Task
) -> NDArray[np.float64]:
    """Return the logarithm of the mean of students' probabilities, of shape [examples, labels].

    Args:
        distributions: Of each student, for each example.
        task: A classification task.
    """
    mean = np.mean([probability_matrix(task, each) for each in distributions], axis=0)
    return np.asarray(np.log(np.maximum(mean, _LEAST_PROBABILITY)))


def _load(student: Path | str, task: Task) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if task.is_classification:
        model, tokenizer = load_classifier(student, task.label_names, trained=True)
        known = getattr(model.config, "label_thresholds", None) or {}
        if task.is_multilabel and set(known) != set(task.label_names):
            raise ModelError(f"{student}: was not trained to choose several labels")
        return model, tokenizer
    return load_text_to_text(student)


def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    reading: Reading,
    questions: Encoded,
    on_batch: Callable[[int], None],
) -> list[Answer]:
    """Answer examples, those of like length together, so that batches have little padding.

    Args:
        model: The student.
        tokenizer: Its tokenizer.
        reading: How it takes examples in.
        questions: The examples, as :func:`encode` returns them without outputs.
        on_batch: Called after each batch with its number of examples.

    Raises:
        ModelError: The student's scores are NaN.
    """
    lengths = questions.dataset["length"][:]
    rows = questions.dataset.remove_columns("length").to_list()
    side = "left" if reading.continues else "right"  # the output must follow the input at once
    answers: dict[int, Answer] = {}
    cached = reading.task.is_classification and model.device.type == "cpu"
    with mean_at_once(model), torch.inference_mode():
        for batch in in_batches(lengths, _BATCH_TOKENS if cached else math.inf):
            inputs = tokenizer.pad(
                [rows[index] for index in batch], return_tensors="pt", padding_side=side
            ).to(model.device)
            batch_answers = (
                _classify(model, reading.task, inputs)
                if reading.task.is_classification
                else _write(model, tokenizer, inputs, reading)
            )
            answers.update(zip(batch, batch_answers, strict=True))
            count_tokens(read=sum(lengths[index] for index in batch))
            on_batch(len(batch))
    return [answers[index] for index in range(len(lengths))]


def in_batches(lengths: Sequence[int], most_tokens: float = _BATCH_TOKENS) -> Iterator[list[int]]:
    """Yield the indices of texts, shortest first, in batches for one forward pass.

    Args:
        lengths: Tokens of each text.
        most_tokens: Tokens of a batch, padding included, at most; a single text may be longer.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        too_long = (len(batch) + 1) * lengths[index] > most_tokens
        if batch and (len(batch) == _BATCH_SIZE or too_long):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _gold(example: Example) -> str:
    if example.output is None:
        raise DataError(f"example {example.id}: has no output to compare an answer with")
    return example.output


def _classify(
    model: PreTrainedModel, task: Task, inputs: Mapping[str, torch.Tensor]
) -> list[Answer]:
    if task.is_multilabel:
        return _choose_labels(model, task, inputs)
    probabilities = model(**inputs).logits.float().softmax(-1)
    _refuse_nan(probabilities)
    best = probabilities.argmax(-1).tolist()
    return [
        Answer(
            task.label_names[index],
            {label: round(value, 6) for label, value in zip(task.label_names, row, strict=True)},
        )
        for index, row in zip(best, probabilities.tolist(), strict=True)
    ]


def _choose_labels(
    model: PreTrainedModel, task: Task, inputs: Mapping[str, torch.Tensor]
) -> list[Answer]:
    """Give each label whose probability reaches the threshold that the model's config holds."""
    probabilities = model(**inputs).logits.float().sigmoid()
    _refuse_nan(probabilities)
    least = cast(Any, model.config).label_thresholds
    answers = []
    for row in probabilities.tolist():
        distribution = {
            label: round(value, 6) for label, value in zip(task.label_names, row, strict=True)
        }
        chosen = [label for label, value in distribution.items() if value >= least[label]]
        answers.append(Answer(task.output_of(chosen), distribution))
    return answers


class _RefuseNan(LogitsProcessor):
    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        _refuse_nan(scores)
        return scores


def _refuse_nan(scores: torch.Tensor) -> None:
    """Refuse NaN: it is the greatest of all numbers to torch, and would pass for an answer."""
    if bool(scores.isnan().any()):
        raise ModelError(
            "the student's scores are no numbers (NaN): its weights are damaged, or its training "
            "diverged; lower student_learning_rate"
        )


def _write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Mapping[str, torch.Tensor],
    reading: Reading,
) -> list[Answer]:
    written = cast(Any, model).generate(
        **inputs,
        max_new_tokens=reading.max_target_length,
        num_beams=1,
        do_sample=False,
        logits_processor=LogitsProcessorList([_RefuseNan()]),
    )
    if reading.continues:
        written = written[:, inputs["input_ids"].shape[1] :]
    start = 0 if reading.continues else 1  # after the token that a decoder begins with
    count_tokens(written=int((written[:, start:] != tokenizer.pad_token_id).sum()))
    texts = tokenizer.batch_decode(written, skip_special_tokens=True)
    return [Answer(text.strip(), {}) for text in texts]
