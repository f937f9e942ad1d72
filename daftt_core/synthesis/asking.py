"""Asking about each of many, so that one that cannot be answered is set aside and stops nothing.

What each new example is asked for: its label, and the real examples that its prompt shows.

Both depend on the example's number and the run's seed alone: sharding and interruptions change
neither.

Inputs that are not worth a question: what is wrong with them, in the words of the report.

An input comes from anywhere, so it may be no text, or a text that was made to lead a model astray.
Most of that is harmless by the way in which the teacher is asked: an input is put into one line, so
that it cannot begin a field of the prompt, and what looks like a token of the tokenizer's own is
spelled out. What is found here is set aside all the same, because no answer to it would be worth
learning from, and because a server reads such tokens in its own way.

Left alone are characters that have their place in some language: zero-width joiners, marks of
direction, and the ends and beginnings of embedded directions.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from daftt_core.config import SynthesisConfig
from daftt_core.engines import Engine, PromptError, PromptRefusedError
from daftt_core.errors import RemoteError
from daftt_core.records import PILED_UP_MARKS, Example, SyntheticExample, seed_for
from daftt_core.synthesis.labels import Outputs
from daftt_core.tasks import FIELD_NAME, Prompt, Task, answer_prompt, writing_prompt
from daftt_core.telemetry import log
from daftt_core.workspace import Run


class Requests:
    """The requests for all new examples of a run, by their numbers.

    Args:
        run: The run.
        config: How many examples, which labels, and how many demonstrations.
        labelled: The real labelled examples.
    """

    def __init__(self, run: Run, config: SynthesisConfig, labelled: Iterable[Example]) -> None:
        self._run = run
        self._most_shown = config.demonstrations
        self._pools: dict[str | None, list[Example]] = {}
        for example in sorted(labelled, key=lambda example: example.id):
            label = example.output if run.task.is_classification else None
            self._pools.setdefault(label, []).append(example)
        found = Counter({label: len(self._pools.get(label, ())) for label in run.task.label_names})
        shares = found if config.label_balance == "as-labelled" else dict.fromkeys(found, 1)
        self._labels = _spread(label_quotas(config.generate_count, shares))

    def label(self, number: int) -> str | None:
        """The label that this example is to have; None in a text-to-text task."""
        return self._labels[number] if self._labels else None

    def demonstrations(self, number: int) -> list[Example]:
        """The labelled examples to show, of the wanted label, in random order."""
        pool = self._pools.get(self.label(number), [])
        generator = np.random.default_rng(seed_for(self._run.seed, "demonstrations", str(number)))
        places = generator.choice(max(len(pool), 1), self._drawn(pool), replace=False)
        return [pool[place] for place in places]

    def prompt(self, number: int) -> Prompt:
        """What the teacher is asked."""
        shown = self.demonstrations(number)
        return writing_prompt(self._run.task, None, self.label(number), shown)

    def left_out(self, made: Iterable[SyntheticExample]) -> int:
        """How many demonstrations the prompts of these examples had no room for."""
        return sum(self._drawn(self._pools.get(one.asked, [])) - len(one.shown) for one in made)

    def _drawn(self, pool: Sequence[Example]) -> int:
        return min(self._most_shown, len(pool))


def label_quotas(count: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Divide a number among labels by the method of largest remainders; the first wins a tie.

    Args:
        count: What is divided.
        shares: The weight of each label, not all of them 0; may be empty.
    """
    total = sum(shares.values())
    quotas = {label: count * share // total for label, share in shares.items()}
    by_remainder = sorted(shares, key=lambda label: -(count * shares[label] % total))
    for label in by_remainder[: count - sum(quotas.values())]:
        quotas[label] += 1
    return quotas


def _spread(quotas: Mapping[str, int]) -> list[str]:
    """Each label as often as its quota says, in an order of which every part has like shares."""
    places = [
        ((2 * turn + 1) / (2 * quota), rank, label)
        for rank, (label, quota) in enumerate(quotas.items())
        for turn in range(quota)
    ]
    return [label for _, _, label in sorted(places)]


# what no text holds: NUL and other controls that are no white space, and halves of surrogate pairs
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff]")
# what shows another text than is there: overridden direction, and letters without a shape, which
# have their place in the flags of England, Scotland and Wales alone
_HIDDEN = re.compile("[\u202d\u202e]|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]")
# how models mark turns, ends and padding: <|im_end|>, <s>, [INST], <start_of_turn> and their like
_CONTROL = re.compile(
    r"<[|\uff5c][^<>\s]{1,40}[|\uff5c]>"
    r"|</?(s|bos|eos|pad|unk|mask|sep|cls|eod|start_of_turn|end_of_turn|end_of_text|endoftext)>"
    r"|\[/?(INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>",
    re.I,
)


def find_problem(example: Example) -> str | None:
    """Why an input should not be asked about; None when it may be.

    Args:
        example: The input; its output is not looked at.
    """
    texts = [text for text in (example.text, example.text_pair) if text is not None]
    return next((problem for text in texts if (problem := _find(text))), None)


def _find(text: str) -> str | None:
    if _NO_TEXT.search(text):
        return "not text"
    if not any(unicodedata.category(character)[0] in "LNPS" for character in text):
        return "blank"
    if _HIDDEN.search(text):
        return "hidden characters"
    if PILED_UP_MARKS.search(text):
        return "piled-up marks"
    if _CONTROL.search(text):
        return "control token"
    if FIELD_NAME.search(text):
        return "imitates the prompt"
    return None


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
