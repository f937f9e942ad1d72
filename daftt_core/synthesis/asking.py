"""Asking about each of many, so that one that cannot be answered is set aside and stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from daftt_core.engines import Engine, PromptError, PromptRefusedError
from daftt_core.errors import RemoteError
from daftt_core.records import SyntheticExample
from daftt_core.synthesis.labels import Outputs
from daftt_core.synthesis.screening import find_problem
from daftt_core.tasks import Task, answer_prompt
from daftt_core.telemetry import log

__all__ = ["ask_each", "give_outputs"]

_TOO_MANY = 3

T = TypeVar("T")


def give_outputs(
    outputs: Outputs,
    engine: Engine,
    task: Task,
    made: Sequence[SyntheticExample],
    temperature: float,
) -> list[SyntheticExample]:
    """Give inputs their outputs; those that have a problem get none.

    An input that loses its end in the prompt is asked about and marked ``shortened``. One that
    loses half of itself, or a pair that loses half of its second text, is set aside: nobody would
    take a label for a text from who has not read it.

    Args:
        outputs: Gives them.
        engine: Where the teacher is asked.
        task: The task.
        made: Inputs without outputs; one that has a problem already keeps it.
        temperature: How labels and texts are drawn; 0 takes the most probable.

    Returns:
        As many examples, in the same order.
    """
    screened = [_with_problem(one, one.problem or find_problem(one)) for one in made]
    sound = [one for one in screened if one.problem is None]
    given = ask_each(lambda part: outputs.give(part, temperature), sound, _with_problem)
    read = iter(
        _as_read(one, answered, engine.share_shown(answer_prompt(task, one)))
        for one, answered in zip(sound, given, strict=True)
    )
    return [next(read) if one.problem is None else one for one in screened]


def ask_each(
    ask: Callable[[Sequence[T]], list[SyntheticExample]],
    items: Sequence[T],
    set_aside: Callable[[T, str], SyntheticExample],
) -> list[SyntheticExample]:
    """Ask about all items together, and about fewer at a time where one of them is refused.

    Args:
        ask: Makes as many examples of some items, or raises a :class:`PromptError`.
        items: The items.
        set_aside: Makes the example of an item that cannot be asked about, and its problem.

    Raises:
        RemoteError: Each of three or more items is refused, so it is not because of them.
    """
    refusals: list[PromptError] = []

    def ask_some(some: Sequence[T]) -> list[SyntheticExample]:
        try:
            return ask(some)
        except PromptError as error:
            if len(some) > 1:
                half = len(some) // 2
                return [*ask_some(some[:half]), *ask_some(some[half:])]
            refusals.append(error)
            return [set_aside(some[0], error.problem)]

    made = ask_some(items)
    refused = [error for error in refusals if isinstance(error, PromptRefusedError)]
    if len(refused) == len(items) >= _TOO_MANY:
        raise RemoteError(f"each of {len(items)} examples was refused; the last time {refused[-1]}")
    if refusals:
        log.warning("%d of %d set aside: %s", len(refusals), len(items), refusals[-1])
    return made


def _with_problem(example: SyntheticExample, problem: str | None) -> SyntheticExample:
    return example.model_copy(update={"problem": problem})


def _as_read(asked: SyntheticExample, answered: SyntheticExample, shown: float) -> SyntheticExample:
    """What was answered, given how much of the input was read."""
    last = len(asked.text if asked.text_pair is None else asked.text_pair)
    before = 0 if asked.text_pair is None else len(asked.text)
    if shown == 1 or answered.problem == "too long":
        return answered
    if shown * (before + last) < before + last / 2:
        return _with_problem(asked, "too long")
    return answered.model_copy(update={"shortened": True})
