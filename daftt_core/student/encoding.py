"""Examples as a student's tokens; those that are too long are cut and counted."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from daftt_core.errors import DataError, ModelError
from daftt_core.modeling import IGNORED, context_length, reads_forward
from daftt_core.records import Example
from daftt_core.tasks import CUE, Task


@dataclass(frozen=True)
class Encoded:
    """Tokenized examples.

    Attributes:
        dataset: Columns ``input_ids``, ``attention_mask`` (and others of the tokenizer), ``labels``
            where outputs were requested, and ``length`` in tokens.
        truncated: Number of ``inputs`` and of ``outputs`` that were cut.
    """

    dataset: Dataset
    truncated: dict[str, int]


@dataclass(frozen=True)
class Reading:
    """How a student's model takes examples in.

    Attributes:
        task: The task; a label becomes its index, a set of them a 1 or 0 for each label.
        forward: Whether the model is causal: it writes after the input, in one sequence.
        max_length: Greatest length of an input in tokens, special ones and the cue included.
        max_target_length: Greatest length of an output text in tokens.
        segments: Whether the model is told which tokens are of a pair's second text.
    """

    task: Task
    forward: bool
    max_length: int
    max_target_length: int
    segments: bool = True

    @property
    def continues(self) -> bool:
        """Whether an output is the continuation of its input."""
        return self.forward and not self.task.is_classification

    @classmethod
    def of(
        cls,
        task: Task,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        max_target_length: int,
    ) -> Reading:
        """Return how a model reads, within its context length.

        Raises:
            ModelError: The model cannot take in an input and an output of these lengths, or has no
                way to end an output.
        """
        room = context_length(model, tokenizer) or max_length + max_target_length
        segments = "token_type_ids" in inspect.signature(model.forward).parameters
        forward = reads_forward(model.config)
        reading = cls(task, forward, min(max_length, room), max_target_length, segments)
        if not reading.continues:
            return reading
        name = model.config.name_or_path
        if tokenizer.eos_token_id is None:
            raise ModelError(f"{name}: its tokenizer has no end token, so it cannot end an output")
        left = min(max_length, room - max_target_length)
        if left <= len(_cue(tokenizer)) + 1:
            raise ModelError(
                f"{name}: takes in {room} tokens, and student_max_target_length "
                f"{max_target_length} leaves no room for an input"
            )
        return replace(reading, max_length=left)


def encode(
    tokenizer: PreTrainedTokenizerBase,
    reading: Reading,
    examples: Sequence[Example],
    *,
    outputs: bool,
) -> Encoded:
    """Tokenize examples.

    An input that is too long loses tokens at its end; of a pair, the longer text loses them.
    ``outputs`` says whether to tokenize the outputs too, for training.

    Raises:
        DataError: A requested output is unknown or not a label of the task.
    """
    cue = _cue(tokenizer) if reading.continues else []
    columns, cut = _read(tokenizer, reading, examples, len(cue))
    truncated = {"inputs": cut, "outputs": 0}
    if cue:
        columns = {"input_ids": [[*ids, *cue] for ids in columns["input_ids"]]}
    if outputs:
        known = [_known_output(reading.task, example) for example in examples]
        if reading.task.is_classification:
            columns["labels"] = [_as_target(reading.task, output) for output in known]
        else:
            targets, truncated["outputs"] = _targets(tokenizer, reading, known)
            _add_targets(columns, targets, continues=reading.continues)
    if cue:
        columns["attention_mask"] = [[1] * len(ids) for ids in columns["input_ids"]]
    columns["length"] = [len(ids) for ids in columns["input_ids"]]
    return Encoded(Dataset.from_dict(columns), truncated)


def _read(
    tokenizer: PreTrainedTokenizerBase, reading: Reading, examples: Sequence[Example], reserved: int
) -> tuple[dict[str, Any], int]:
    """Return the inputs' columns, and how many inputs were cut."""
    limit = reading.max_length - reserved
    inputs = _inputs(examples, "\n" if reading.forward else "")
    columns = dict(tokenizer(*inputs))
    cut = sum(len(ids) > limit for ids in columns["input_ids"])
    if cut:
        columns = dict(tokenizer(*inputs, truncation="longest_first", max_length=limit))
    if not reading.segments:  # some tokenizers give them to models that take none
        columns.pop("token_type_ids", None)
    if reading.continues:  # an input that has ended cannot be continued
        end = tokenizer.eos_token_id
        columns["input_ids"] = [
            ids[:-1] if ids and ids[-1] == end else ids for ids in columns["input_ids"]
        ]
    return columns, cut


def _inputs(examples: Sequence[Example], between: str) -> list[list[str]]:
    if all(example.text_pair is None for example in examples):
        return [[example.text for example in examples]]
    return [
        [example.text + between for example in examples],
        [example.text_pair or "" for example in examples],
    ]


def _cue(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    ids: list[int] = tokenizer(CUE, add_special_tokens=False)["input_ids"]
    return ids


def _targets(
    tokenizer: PreTrainedTokenizerBase, reading: Reading, outputs: list[str]
) -> tuple[list[list[int]], int]:
    """Return the tokens of the outputs, with an end token, and how many of them were cut."""
    limit = reading.max_target_length
    if reading.continues:
        spaced = [f" {output}" for output in outputs]
        texts = tokenizer(spaced, add_special_tokens=False)["input_ids"]
        targets = [[*ids, tokenizer.eos_token_id] for ids in texts]
        return [ids[:limit] for ids in targets], sum(len(ids) > limit for ids in targets)
    targets = tokenizer(text_target=outputs)["input_ids"]
    cut = sum(len(ids) > limit for ids in targets)
    if cut:
        targets = tokenizer(text_target=outputs, truncation=True, max_length=limit)["input_ids"]
    return targets, cut


def _add_targets(columns: dict[str, Any], targets: list[list[int]], *, continues: bool) -> None:
    """Add the column of labels; a causal student's input is followed by its output, unlabelled."""
    if not continues:
        columns["labels"] = targets
        return
    inputs = columns["input_ids"]
    columns["input_ids"] = [[*ids, *target] for ids, target in zip(inputs, targets, strict=True)]
    columns["labels"] = [
        [IGNORED] * len(ids) + target for ids, target in zip(inputs, targets, strict=True)
    ]


def _as_target(task: Task, output: str) -> int | list[float]:
    if not task.is_multilabel:
        return task.label_names.index(output)
    held = task.labels_of(output)
    return [float(label in held) for label in task.label_names]


def _known_output(task: Task, example: Example) -> str:
    output = example.output
    if output is None or (task.is_classification and not task.allows(output)):
        allowed = f" (allowed: {', '.join(task.label_names)})" if task.is_classification else ""
        raise DataError(f"example {example.id}: its output is {output!r}{allowed}")
    return output
