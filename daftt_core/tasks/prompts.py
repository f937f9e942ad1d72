"""Prompts in the format of Super-NaturalInstructions, and the strict reading of answers.

Each prompt comes in parts: a *prefix* that is the same for every example of a task, so that an
engine computes it once; a *body* that differs, and is the part that is cut when a prompt is too
long; and a *suffix* after which the answer begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from daftt_core.records import Example
from daftt_core.tasks.task import Task

__all__ = [
    "FIELD_NAME",
    "Prompt",
    "answer_prompt",
    "mixture_prompt",
    "parse_answer",
    "parse_input",
    "writing_prompt",
]

_SUFFIX = "\nOutput:"

FIELD_NAME = re.compile(r"^\s*(definition|input|output|explanation)\s*:", re.I | re.M)
"""A line that begins as those of a prompt do; an input is put into one line there, and has none."""


@dataclass(frozen=True)
class Prompt:
    """What the teacher is shown.

    Attributes:
        prefix: The part all prompts of one task and direction share.
        body: The part of this example, with its leading space.
        suffix: The end of the prompt, where the answer begins.
        answer: What the teacher should write (with its leading space), or None when it is asked.
    """

    prefix: str
    body: str
    suffix: str = _SUFFIX
    answer: str | None = None

    def __str__(self) -> str:
        return f"{self.prefix}{self.body}{self.suffix}{self.answer or ''}"


def answer_prompt(task: Task, example: Example) -> Prompt:
    """Ask for the output of an input; carries the answer when the example has one."""
    answer = None if example.output is None else f" {task.verbalize(example.output)}"
    prefix = f"Definition: {task.definition}\n\nInput:"
    return Prompt(prefix, f" {_input(example)}", answer=answer)


def writing_prompt(task: Task, example: Example | None, output: str | None = None) -> Prompt:
    """Ask for an input, given an output (classification) or nothing (text to text).

    Args:
        task: The task.
        example: A real example to learn from, or None to ask for a new one.
        output: The output to write an input for; taken from ``example`` when that is given.
    """
    if example is not None:
        output = example.output
    body = f" {task.verbalize(output)}" if task.is_classification and output else ""
    answer = None if example is None else f" {_input(example)}"
    return Prompt(f"Definition: {task.writing_definition}\n\nInput:", body, answer=answer)


def mixture_prompt(
    definition: str, shown: Iterable[tuple[str, str]], text: str, output: str
) -> Prompt:
    """Ask for the output of an instance of another task, as the target's is asked for.

    Args:
        definition: The other task's instruction.
        shown: Solved examples to show before, as inputs and outputs.
        text: The input.
        output: What the teacher should write.
    """
    blocks = [f"Definition: {definition}"]
    blocks += [
        f"Positive Example {number} -\nInput: {one}\nOutput: {other}"
        for number, (one, other) in enumerate(shown, start=1)
    ]
    if len(blocks) > 1:
        blocks.append("Now complete the following example -")
    lead = "\n" if len(blocks) > 1 else "\n\n"
    return Prompt("\n\n".join(blocks) + f"{lead}Input:", f" {text}", answer=f" {output}")


def _input(example: Example) -> str:
    text = " ".join(example.text.split())
    if example.text_pair is None:
        return text
    return f"{text}\n{' '.join(example.text_pair.split())}"


def parse_answer(task: Task, answer: str) -> str | None:
    """The output an answer states, or None when it states none.

    Only the first line counts, and one full stop at its end is ignored: the format adds one to
    fields that lack punctuation. A label must be matched whole; nothing is guessed.
    """
    line = answer.strip().split("\n", 1)[0].strip()
    if not task.is_classification:
        return line or None
    return next((label.name for label in task.labels if label.is_said_by(line)), None)


def parse_input(task: Task, answer: str) -> Example | None:
    """The input an answer to a writing prompt states, or None when it states none.

    One line is expected, or two where the task's inputs are pairs.
    """
    lines = [line.strip() for line in answer.strip().split("\n")]
    wanted = 1 if task.columns.text_pair is None else 2
    if len(lines) != wanted or not all(lines):
        return None
    return Example.of(*lines)
