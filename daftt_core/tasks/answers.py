"""Parsing of the teacher's texts: where a text ends, and which output or input it states.

A text ends with the model's end mark. A model that was not tuned may know no such mark and continue
with an example of its own, so that something else has to end its texts: a line break where none of
the task's own texts holds one, and otherwise the beginning of a prompt's next example.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from daftt_core.records import Example
from daftt_core.tasks.prompts import TURN
from daftt_core.tasks.task import Task

_BLANK_LINE = "\n\n"
# servers take four at most
_NEXT = tuple(
    f"{_BLANK_LINE}{name}" for name in ("Definition:", "Input:", "Positive Example", TURN)
)


@dataclass(frozen=True)
class Form:
    """The form of a text that the teacher writes.

    Attributes:
        lines: Whether it may have several lines.
        stops: Strings that end it, beside the model's end mark.
    """

    lines: bool = False
    stops: tuple[str, ...] = (_BLANK_LINE,)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Form:
        """Return the form of texts like these; a string that one of them holds ends no text."""
        stripped = [text.strip().replace("\r\n", "\n") for text in texts]
        if not any("\n" in text for text in stripped):
            return cls()
        stops = (stop for stop in _NEXT if not any(stop in text for text in stripped))
        return cls(lines=True, stops=tuple(stops))


@dataclass(frozen=True)
class Forms:
    """The forms of the texts that the teacher writes in a task.

    Attributes:
        inputs: The form of an input. Of a pair each text is put on a line of its own.
        outputs: The form of an output; a label is one line.
    """

    inputs: Form = Form()
    outputs: Form = Form()

    @classmethod
    def of(cls, task: Task, examples: Iterable[Example]) -> Forms:
        """Return the forms of a task's labelled examples, and of those in its prompts."""
        examples = [*examples, *map(task.example_of, task.positive_examples)]
        inputs = outputs = Form()
        if task.columns.text_pair is None:
            inputs = Form.of(example.text for example in examples)
        if not task.is_classification:
            outputs = Form.of(example.output or "" for example in examples)
        return cls(inputs, outputs)


def parse_answer(task: Task, answer: str, form: Form) -> str | None:
    """Return the output that an answer states, or None when it states none.

    A label is matched whole with the first line, and nothing is guessed; one full stop at its end
    is ignored: the format adds one to fields that lack punctuation. A text is the whole answer, or
    its first line where texts have one.

    Args:
        task: The task.
        answer: The teacher's text.
        form: The form of the task's outputs.
    """
    text = answer.strip()
    line = text.split("\n", 1)[0].strip()
    if not task.is_classification:
        return (text if form.lines else line) or None
    return task.label_said_by(line)


def parse_input(task: Task, answer: str, form: Form) -> Example | None:
    """Return the input that an answer to a writing prompt states, or None when it states none.

    Args:
        task: The task. Where its inputs are pairs, two lines are expected.
        answer: The teacher's text.
        form: The form of the task's inputs; one line is expected where they have one.
    """
    text = answer.strip()
    pairs = task.columns.text_pair is not None
    parts = [text] if form.lines and not pairs else [line.strip() for line in text.split("\n")]
    if len(parts) != 1 + pairs or not all(parts):
        return None
    return Example.of(*parts)
