"""A student's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from daftt_core.metering import count_tokens
from daftt_core.records import Example
from daftt_core.student.encoding import encode
from daftt_core.tasks import Task

__all__ = ["Answer", "answer"]

_BATCH_SIZE = 64


@dataclass(frozen=True)
class Answer:
    """A student's output for one example, and the probability of every label, if there are any."""

    output: str
    distribution: dict[str, float]


def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    examples: Sequence[Example],
    *,
    max_length: int,
    max_target_length: int,
    on_batch: Callable[[int], None],
) -> list[Answer]:
    """Answer examples in order of their length, so that a batch is hardly padded.

    Args:
        model: The student.
        tokenizer: Its tokenizer.
        task: The task.
        examples: What to answer; their outputs are not looked at.
        max_length: Tokens of an input, at most.
        max_target_length: Tokens of a written output, at most.
        on_batch: Called after each batch with its number of examples.

    Returns:
        One answer per example, in the order of the examples.
    """
    dataset = encode(tokenizer, task, examples, max_length, None).dataset
    lengths = dataset["length"]
    order = sorted(range(len(examples)), key=lambda index: lengths[index])
    rows = dataset.remove_columns("length").to_list()
    answers: dict[int, Answer] = {}
    for start in range(0, len(order), _BATCH_SIZE):
        batch = order[start : start + _BATCH_SIZE]
        inputs = tokenizer.pad([rows[index] for index in batch], return_tensors="pt")
        inputs = inputs.to(model.device)
        with torch.inference_mode():
            found = (
                _classify(model, task, inputs)
                if task.is_classification
                else _write(model, tokenizer, inputs, max_target_length)
            )
        answers.update(zip(batch, found, strict=True))
        count_tokens(read=sum(lengths[index] for index in batch))
        on_batch(len(batch))
    return [answers[index] for index in range(len(examples))]


def _classify(
    model: PreTrainedModel, task: Task, inputs: Mapping[str, torch.Tensor]
) -> list[Answer]:
    probabilities = model(**inputs).logits.float().softmax(-1)
    best = probabilities.argmax(-1).tolist()
    return [
        Answer(
            task.label_names[index],
            {label: round(value, 6) for label, value in zip(task.label_names, row, strict=True)},
        )
        for index, row in zip(best, probabilities.tolist(), strict=True)
    ]


def _write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Mapping[str, torch.Tensor],
    max_target_length: int,
) -> list[Answer]:
    written = cast(Any, model).generate(
        **inputs, max_new_tokens=max_target_length, num_beams=1, do_sample=False
    )
    # each row begins with a token that it was given, and is filled up behind its end
    count_tokens(written=int((written[:, 1:] != tokenizer.pad_token_id).sum()))
    texts = tokenizer.batch_decode(written, skip_special_tokens=True)
    return [Answer(text.strip(), {}) for text in texts]
