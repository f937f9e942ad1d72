"""Reading what the teacher has written: where it ends, and what it states.

A text ends with the model's end mark. A model that was not tuned may know no such mark and go on
with an example of its own, so that something else has to end its texts: a line break where none of
the task's own texts holds one, and else what begins the next example of a prompt.
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
    """What a text that the teacher writes looks like.

    Attributes:
        lines: Whether it may have several lines.
        stops: What ends it, beside the model's end mark.
    """

    lines: bool = False
    stops: tuple[str, ...] = (_BLANK_LINE,)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Form:
        """The form of texts like these; what one of them holds ends none."""
        known = [text.strip().replace("\r\n", "\n") for text in texts]
        if not any("\n" in text for text in known):
            return cls()
        stops = (stop for stop in _NEXT if not any(stop in text for text in known))
        return cls(lines=True, stops=tuple(stops))


@dataclass(frozen=True)
class Forms:
    """What the teacher writes in a task.

    Attributes:
        inputs: What an input looks like. Of a pair each text is put on a line of its own.
        outputs: What an output looks like; a label is one line.
    """

    inputs: Form = Form()
    outputs: Form = Form()

    @classmethod
    def of(cls, task: Task, examples: Iterable[Example]) -> Forms:
        """The forms that a task's labelled examples, and those of its prompts, have."""
        known = [*examples, *map(task.example_of, task.positive_examples)]
        pairs = task.columns.text_pair is not None
        return cls(
            inputs=Form() if pairs else Form.of(one.text for one in known),
            outputs=Form()
            if task.is_classification
            else Form.of(one.output or "" for one in known),
        )


def parse_answer(task: Task, answer: str, form: Form) -> str | None:
    """The output an answer states, or None when it states none.

    A label is matched whole with the first line, and nothing is guessed; one full stop at its end
    is ignored: the format adds one to fields that lack punctuation. A text is all that was written,
    or its first line where texts have one.

    Args:
        task: The task.
        answer: What was written.
        form: What the task's outputs look like.
    """
    text = answer.strip()
    line = text.split("\n", 1)[0].strip()
    if not task.is_classification:
        return (text if form.lines else line) or None
    return task.label_said_by(line)


def parse_input(task: Task, answer: str, form: Form) -> Example | None:
    """The input an answer to a writing prompt states, or None when it states none.

    Args:
        task: The task. Where its inputs are pairs, two lines are expected.
        answer: What was written.
        form: What the task's inputs look like; one line is expected where they have one.
    """
    text = answer.strip()
    pairs = task.columns.text_pair is not None
    parts = [text] if form.lines and not pairs else [line.strip() for line in text.split("\n")]
    if len(parts) != 1 + pairs or not all(parts):
        return None
    return Example.of(*parts)
