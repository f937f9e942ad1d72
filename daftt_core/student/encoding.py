"""Examples as tokens, cut by rule and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from daftt_core.errors import DataError
from daftt_core.records import Example
from daftt_core.tasks import Task

__all__ = ["Encoded", "encode"]


@dataclass(frozen=True)
class Encoded:
    """Tokenized examples.

    Attributes:
        dataset: Columns ``input_ids``, ``attention_mask`` (and what else the tokenizer gives),
            ``labels`` where outputs were asked for, and ``length`` in tokens.
        truncated: Number of ``inputs`` and of ``outputs`` that were cut.
    """

    dataset: Dataset
    truncated: dict[str, int]


def encode(
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    examples: Sequence[Example],
    max_length: int,
    max_target_length: int | None,
) -> Encoded:
    """Tokenize examples.

    An input that is too long loses tokens at its end; of a pair, the longer text loses them.

    Args:
        tokenizer: The student's.
        task: The task; a label becomes its index.
        examples: What to tokenize.
        max_length: Tokens of an input, special ones included, at most.
        max_target_length: Tokens of an output text at most; None leaves the outputs out.

    Raises:
        DataError: An output that is asked for is unknown or not a label of the task.
    """
    inputs = _inputs(examples)
    full = tokenizer(*inputs)["input_ids"]
    columns = dict(tokenizer(*inputs, truncation="longest_first", max_length=max_length))
    columns["length"] = [len(ids) for ids in columns["input_ids"]]
    truncated = {"inputs": sum(len(ids) > max_length for ids in full), "outputs": 0}
    if max_target_length is not None:
        outputs = [_known_output(task, example) for example in examples]
        if task.is_classification:
            columns["labels"] = [task.label_names.index(output) for output in outputs]
        else:
            targets = tokenizer(text_target=outputs)["input_ids"]
            truncated["outputs"] = sum(len(ids) > max_target_length for ids in targets)
            columns["labels"] = tokenizer(
                text_target=outputs, truncation=True, max_length=max_target_length
            )["input_ids"]
    return Encoded(Dataset.from_dict(columns), truncated)


def _inputs(examples: Sequence[Example]) -> list[list[str]]:
    texts = [example.text for example in examples]
    if all(example.text_pair is None for example in examples):
        return [texts]
    return [texts, [example.text_pair or "" for example in examples]]


def _known_output(task: Task, example: Example) -> str:
    if example.output is None or (
        task.is_classification and example.output not in task.label_names
    ):
        allowed = f" (allowed: {', '.join(task.label_names)})" if task.is_classification else ""
        raise DataError(f"example {example.id}: its output is {example.output!r}{allowed}")
    return example.output
