"""Prompts in the format of Super-NaturalInstructions.

Each prompt comes in parts: a *prefix* that is the same for every example of a task, so that an
engine computes it once; a *body* that differs, and is the part that is cut when a prompt is too
long; and a *suffix* after which the answer begins. A task's own examples are part of the prefix.
Solved examples may be *shown* between prefix and body; where a prompt is too long, the last of
them are left out before anything is cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from daftt_core.records import Example
from daftt_core.tasks.task import Task

TURN = "Now complete the following example -"
"""The format's text between the solved examples and the one to be completed."""

_SUFFIX = "\nOutput:"

FIELD_NAME = re.compile(
    r"^[^\S\n]*(?:(?:definition|input|output|explanation)\s*:|(?:positive|negative) example \d)",
    re.I | re.M,
)
"""A line that begins like those of a prompt. The input to be answered is put into one line."""


@dataclass(frozen=True)
class Prompt:
    """A prompt for the teacher.

    Attributes:
        prefix: The part all prompts of one task and direction share.
        body: The part of this example, with its leading space.
        suffix: The end of the prompt, where the answer begins.
        answer: The right answer, with its leading space; None when the teacher is to give one.
        solved: Solved examples, each from the line break before it to its end.
        shows_own: Whether the prefix shows the task's own examples.
    """

    prefix: str
    body: str
    suffix: str = _SUFFIX
    answer: str | None = None
    solved: tuple[str, ...] = ()
    shows_own: bool = False

    def turn(self, solved: int) -> str:
        """Return the text between the solved examples and the body, when so many are shown."""
        return _turn(solved or self.shows_own) if self.solved else ""

    def asking(self, solved: int) -> str:
        """Return the prompt without its answer, with so many of its solved examples."""
        examples = "".join(self.solved[:solved])
        return f"{self.prefix}{examples}{self.turn(solved)}{self.body}{self.suffix}"

    def __str__(self) -> str:
        return f"{self.asking(len(self.solved))}{self.answer or ''}"


def answer_prompt(task: Task, example: Example) -> Prompt:
    """Ask for the output of an input; carries the answer when the example has one."""
    answer = None if example.output is None else f" {task.verbalize(example.output)}"
    own = _own_examples(task)
    prefix = f"Definition: {task.definition}{own}{_turn(own)}"
    return Prompt(prefix, f" {_input(example)}", answer=answer, shows_own=bool(own))


YES, NO = "yes", "no"
"""The answers to the question whether a label applies."""


def answer_prompts(task: Task, example: Example) -> list[Prompt]:
    """Ask for the output of an input, whatever the kind of task.

    Returns:
        One prompt; of a multi-label task one for each label, in the task's order, which asks
        whether it applies. They differ in their suffixes alone.
    """
    prompt = answer_prompt(task, example)
    if not task.is_multilabel:
        return [prompt]
    chosen = None if example.output is None else set(task.labels_of(example.output))
    return [
        replace(
            prompt,
            suffix=f'\nDoes the label "{label.verbalizer}" apply?{_SUFFIX}',
            answer=None if chosen is None else f" {YES if label.name in chosen else NO}",
        )
        for label in task.labels
    ]


def writing_prompt(
    task: Task,
    example: Example | None,
    output: str | None = None,
    shown: Sequence[Example] = (),
) -> Prompt:
    """Ask for an input, given an output (classification) or nothing (text to text).

    The task's own positive examples are shown the other way round. Its negative ones are not: for
    a wrong output there is no input to write.

    Args:
        task: The task.
        example: A real example to learn from, or None to ask for a new one.
        output: The output to write an input for; taken from ``example`` when that is given.
        shown: Real examples to show as solved.
    """
    if example is not None:
        output = example.output
    answer = None if example is None else f" {_written(example)}"
    own_examples = list(map(task.example_of, task.positive_examples))
    blocks = tuple(
        f"\n\n{_solved(number, _output_part(task, solved.output), f' {_written(solved)}')}"
        for number, solved in enumerate([*own_examples, *shown], start=1)
    )
    own, rest = "".join(blocks[: len(own_examples)]), blocks[len(own_examples) :]
    prefix = f"Definition: {task.writing_definition}{own}" + ("" if shown else _turn(own))
    body = _output_part(task, output)
    return Prompt(prefix, body, answer=answer, solved=rest, shows_own=bool(own))


def mixture_prompt(
    definition: str, shown: Iterable[tuple[str, str]], text: str, output: str
) -> Prompt:
    """Ask for the output of an instance of another task, as for one of the target task.

    Args:
        definition: The other task's instruction.
        shown: Solved examples to show before, as inputs and outputs.
        text: The input.
        output: The right output.
    """
    blocks = [f"Definition: {definition}"]
    for number, (shown_text, shown_output) in enumerate(shown, 1):
        blocks.append(_solved(number, f" {shown_text}", f" {shown_output}"))
    if len(blocks) > 1:
        blocks.append(TURN)
    lead = "\n" if len(blocks) > 1 else "\n\n"
    return Prompt("\n\n".join(blocks) + f"{lead}Input:", f" {text}", answer=f" {output}")


def _turn(after_examples: object) -> str:
    return f"\n\n{TURN}\nInput:" if after_examples else "\n\nInput:"


def _own_examples(task: Task) -> str:
    """Return the task's own examples as every prompt for an output shows them."""
    blocks = []
    for kind, own in (("Positive", task.positive_examples), ("Negative", task.negative_examples)):
        for number, solved in enumerate(own, start=1):
            example = task.example_of(solved)
            output = task.verbalize(example.output or "")
            blocks.append(_solved(number, f" {_input(example)}", f" {output}", kind))
            if explanation := " ".join(solved.explanation.split()):
                blocks[-1] += f"\nExplanation: {explanation}"
    return "".join(f"\n\n{block}" for block in blocks)


def _solved(number: int, body: str, answer: str, kind: str = "Positive") -> str:
    return f"{kind} Example {number} -\nInput:{body}\nOutput:{answer}"


def _output_part(task: Task, output: str | None) -> str:
    """Return the output to write an input for, with its leading space; none in text to text."""
    return f" {task.verbalize(output)}" if task.is_classification and output else ""


def _written(example: Example) -> str:
    """Return an input as the teacher writes it: unchanged, or a pair's texts on a line each."""
    return example.text if example.text_pair is None else _input(example)


def _input(example: Example) -> str:
    """Return an input as a prompt shows it: in one line, or two for a pair."""
    text = " ".join(example.text.split())
    if example.text_pair is None:
        return text
    return f"{text}\n{' '.join(example.text_pair.split())}"
