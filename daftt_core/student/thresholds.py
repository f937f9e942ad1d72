"""The thresholds of labels, where a student chooses several: learned on dev, kept in its config.

``label_thresholds`` of ``config.json`` names, for each label, the probability from which it is
given. So whoever has the student's folder has its thresholds too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from daftt_core.evaluation.label_sets import (
    EVEN,
    choose_thresholds,
    decide_in_halves,
    halves,
    label_matrix,
    outputs_of,
    probability_matrix,
)
from daftt_core.records import Example, Prediction
from daftt_core.student.encoding import Reading, encode
from daftt_core.student.prediction import answer
from daftt_core.workspace import Run

_DIGITS = 6  # those that probabilities have


def keep_thresholds(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    reading: Reading,
    dev: Sequence[Example],
) -> None:
    """Choose a trained student's thresholds on all of dev, and put them into its config.

    Raises:
        ModelError: The student's scores are NaN.
    """
    task = reading.task
    model.config.update({"label_thresholds": dict.fromkeys(task.label_names, EVEN)})
    torch.nn.Module.eval(model)
    questions = encode(tokenizer, reading, dev, outputs=False)
    answers = answer(model, tokenizer, reading, questions, lambda _: None)
    probs = probability_matrix(task, [each.distribution for each in answers])
    gold = label_matrix(task, [example.output or "" for example in dev])
    least = [round(value, _DIGITS) for value in choose_thresholds(probs, gold)]
    thresholds = dict(zip(task.label_names, least, strict=True))
    model.config.update({"label_thresholds": thresholds})


def decide_again(run: Run, predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return answers to dev as they are with thresholds that were not chosen on the same examples.

    Each half of dev is decided with those of the other half, as the teacher's is.

    Args:
        run: The run.
        predictions: Those of one student.
    """
    task = run.task
    probs = probability_matrix(task, [each.distribution for each in predictions])
    gold = label_matrix(task, [each.gold for each in predictions])
    matrix = decide_in_halves(probs, gold, halves(run.seed, [each.id for each in predictions]))
    return [
        each.model_copy(update={"output": output})
        for each, output in zip(predictions, outputs_of(task, matrix), strict=True)
    ]
