"""The examples that a teacher learns from: labelled ones, in both directions, and a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, concatenate_datasets
from transformers import PreTrainedTokenizerBase

from daftt_core.data.candidates import MixtureExample, MixtureTask
from daftt_core.data.mixture import read_mixture
from daftt_core.engines import encode
from daftt_core.errors import ModelError, TaskError
from daftt_core.modeling import IGNORED
from daftt_core.records import Example
from daftt_core.records.fingerprints import Heldout
from daftt_core.stages import DATA
from daftt_core.tasks import Prompt, Task, answer_prompts, mixture_prompt, writing_prompt
from daftt_core.telemetry import log
from daftt_core.workspace import Run, read_stage


def mixture_prompts(
    run: Run, mixture: str, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[Prompt]:
    """Return the prompts of other tasks that the teacher learns beside the target task.

    A solved example that would make an instance too long is not shown before it; an instance that
    is too long by itself is left out: half an input teaches nothing. ``mixture`` is the digest of
    the stage, empty where there is none.

    Raises:
        StorageError: The stage cannot be trusted.
    """
    if not mixture:
        return []
    tasks, examples = read_mixture(run, mixture)
    fitted = [_fit(tasks[example.task], example, tokenizer, max_length) for example in examples]
    prompts = [prompt for prompt in fitted if prompt is not None]
    log.info(
        "teacher: %d instances of %d other tasks are mixed in; %d longer than %d tokens are not",
        *(len(prompts), len(tasks), len(fitted) - len(prompts), max_length),
    )
    return prompts


def _fit(
    task: MixtureTask,
    example: MixtureExample,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> Prompt | None:
    """Return the prompt with the solved examples that fit; None where it is too long without."""

    def uncut(shown: list[tuple[str, str]]) -> Prompt | None:
        prompt = mixture_prompt(task.definition, shown, example.text, example.output)
        try:
            return None if encode(prompt, tokenizer, max_length).cut else prompt
        except ModelError:  # too long even without its input
            return None

    shown: list[tuple[str, str]] = []
    best = uncut(shown)
    for pair in task.positive_examples if best else ():
        longer = uncut([*shown, pair]) if pair[0] != example.text else None
        if longer is not None:
            shown, best = [*shown, pair], longer
    return best


_WHOLE = 1000  # words in a row that count as overlap: whole examples are compared, no parts
_WINDOW_BATCHES = 8


@dataclass(frozen=True)
class TrainingSet:
    """Tokenized examples.

    Attributes:
        dataset: Columns ``input_ids``, ``labels`` (only the answer's tokens carry loss) and
            ``shared``, the length of the beginning that other examples have too.
        cut: Examples that were longer than allowed and lost their end.
        tokens: Tokens in all.
        mixed_in: Examples of other tasks among them.
    """

    dataset: Dataset
    cut: int
    tokens: int
    mixed_in: int

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of each example."""
        return [len(row) for row in self.dataset["input_ids"]]


def training_set(
    task: Task,
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    directions: str,
    mixture: Sequence[Prompt] = (),
) -> TrainingSet:
    """Tokenize labelled examples, and prompts of other tasks, for training.

    ``directions`` is ``label`` (answer inputs) or ``both`` (also write inputs). An input of a
    multi-label task is answered once for each label.
    """
    prompts: list[Prompt] = [
        prompt for example in examples for prompt in answer_prompts(task, example)
    ]
    if directions == "both":
        prompts += [writing_prompt(task, example) for example in examples]
    prompts += mixture
    encoded = [encode(prompt, tokenizer, max_length) for prompt in prompts]
    rows: list[dict[str, Any]] = [
        {
            "input_ids": [*example.prefix, *example.rest, *example.answer],
            "labels": [IGNORED] * (len(example.prefix) + len(example.rest)) + example.answer,
            "shared": len(example.prefix),
        }
        for example in encoded
    ]
    return TrainingSet(
        dataset=Dataset.from_list(rows),
        cut=sum(example.cut for example in encoded),
        tokens=sum(len(row["input_ids"]) for row in rows),
        mixed_in=len(mixture),
    )


def check_own_examples(run: Run, data: str) -> None:
    """Check that the prompts show no example of dev or test.

    Raises:
        TaskError: One of the task's own examples is one of those.
        StorageError: The stage cannot be trusted.
    """
    task = run.task
    if not task.positive_examples and not task.negative_examples:
        return
    folder, _ = read_stage(run, DATA, data)
    heldout = Heldout.load(folder / "heldout.json", _WHOLE)
    for field in ("positive_examples", "negative_examples"):
        for number, solved in enumerate(getattr(task, field), start=1):
            example = task.example_of(solved)
            if heldout.collides(example.text, example.text_pair):
                raise TaskError(
                    f"task {task.id}: {field}: example {number} is an example of dev or test, or "
                    "nearly one, which no prompt may show; write another one"
                )


def reading_order(lengths: Sequence[int], *, epochs: int, batch_size: int, seed: int) -> list[int]:
    """Return the order in which a whole training reads its examples.

    Each epoch is a new permutation. Within windows of a few batches, examples of like length are
    put together, so that little is padding. The order is a function of its arguments alone: a
    training that resumes after step n continues at place n times ``batch_size``.

    Returns:
        Indices of examples, ``epochs`` times as many as there are ``lengths``.
    """
    generator = np.random.default_rng(seed)
    read = np.concatenate([generator.permutation(len(lengths)) for _ in range(epochs)])
    order: list[int] = []
    for start in range(0, len(read), _WINDOW_BATCHES * batch_size):
        window = read[start : start + _WINDOW_BATCHES * batch_size]
        window = window[np.argsort(np.asarray(lengths)[window], kind="stable")]
        batches = [window[at : at + batch_size] for at in range(0, len(window), batch_size)]
        whole = [batch for batch in batches if len(batch) == batch_size]
        rest = batches[len(whole) :]  # an incomplete batch must come last
        shuffled = [whole[index] for index in generator.permutation(len(whole))]
        order += [int(index) for batch in [*shuffled, *rest] for index in batch]
    return order


def whole_batches(read: Dataset, batch_size: int) -> Dataset:
    """Fill the last batch with rows that carry no loss, so that processes can divide it evenly."""
    missing = -len(read) % batch_size
    if not missing:
        return read
    first = read[0]
    blank = {**first, "labels": [IGNORED] * len(first["labels"])}
    return concatenate_datasets([read, Dataset.from_list([blank] * missing, read.features)])
