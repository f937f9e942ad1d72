"""What the teacher learns from: each labelled example in one direction or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from daftt_core.engines import encode
from daftt_core.records import Example
from daftt_core.tasks import Prompt, Task, answer_prompt, writing_prompt

__all__ = ["IGNORED", "TrainingSet", "training_set"]

IGNORED = -100
"""Label of tokens that carry no loss, as torch's cross-entropy defines it."""


@dataclass(frozen=True)
class TrainingSet:
    """Tokenized examples.

    Attributes:
        dataset: Columns ``input_ids`` and ``labels``; only the answer's tokens carry loss.
        cut: Examples that were longer than allowed and lost their end.
        tokens: Tokens in all.
    """

    dataset: Dataset
    cut: int
    tokens: int


def training_set(
    task: Task,
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    directions: str,
) -> TrainingSet:
    """Tokenize examples for training.

    Args:
        task: The task.
        examples: Labelled examples.
        tokenizer: The teacher's tokenizer.
        max_length: Tokens allowed in one example.
        directions: ``label`` (answer inputs) or ``both`` (also write inputs).
    """
    prompts: list[Prompt] = [answer_prompt(task, example) for example in examples]
    if directions == "both":
        prompts += [writing_prompt(task, example) for example in examples]
    encoded = [encode(prompt, tokenizer, max_length) for prompt in prompts]
    rows = [
        {
            "input_ids": [*one.prefix, *one.rest, *one.answer],
            "labels": [IGNORED] * (len(one.prefix) + len(one.rest)) + one.answer,
        }
        for one in encoded
    ]
    return TrainingSet(
        dataset=Dataset.from_list(rows),
        cut=sum(one.cut for one in encoded),
        tokens=sum(len(row["input_ids"]) for row in rows),
    )
