"""Generated inputs: what is requested for each, how it is read, and when they stop being new.

A request depends on the example's number and the run's seed alone: sharding and interruptions
change nothing about it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daftt_core.config import SynthesisConfig
from daftt_core.config.synthesis import NOVELTY_WINDOW
from daftt_core.curation import NearIndex
from daftt_core.engines import Completion, Engine
from daftt_core.records import Example, SyntheticExample, content_id, digest, seed_for
from daftt_core.tasks import Form, Prompt, parse_input, writing_prompt
from daftt_core.workspace import Run

ALIKE = 0.8
"""Jaccard similarity of character 5-grams from which an input is no longer new."""


class Requests:
    """The requests for all new examples of a run, by their numbers."""

    def __init__(self, run: Run, config: SynthesisConfig, labelled: Iterable[Example]) -> None:
        self._run = run
        self._most_shown = config.demonstrations
        self._pools: dict[str | None, list[Example]] = {}
        for example in sorted(labelled, key=lambda example: example.id):
            label = example.output if run.task.is_classification else None
            self._pools.setdefault(label, []).append(example)
        outputs = run.task.label_names
        if run.task.is_multilabel:  # the sets that occur: most others would be nonsense
            outputs = sorted(filter(None, self._pools))
        counts = Counter({output: len(self._pools.get(output, ())) for output in outputs})
        weights = counts if config.label_balance == "as-labelled" else dict.fromkeys(counts, 1)
        self._labels = _spread(label_quotas(config.generate_count, weights))

    def label(self, number: int) -> str | None:
        """Return the label, or set of labels, that this example is to have; None for texts."""
        return self._labels[number] if self._labels else None

    def demonstrations(self, number: int) -> list[Example]:
        """Return the labelled examples to show, of the requested label, in random order."""
        pool = self._pools.get(self.label(number), [])
        generator = np.random.default_rng(seed_for(self._run.seed, "demonstrations", str(number)))
        indices = generator.choice(max(len(pool), 1), self._drawn(pool), replace=False)
        return [pool[index] for index in indices]

    def prompt(self, number: int) -> Prompt:
        """Return the teacher's prompt."""
        shown = self.demonstrations(number)
        return writing_prompt(self._run.task, None, self.label(number), shown)

    def left_out(self, examples: Iterable[SyntheticExample]) -> int:
        """Return how many demonstrations the prompts of these examples had no room for."""
        return sum(
            self._drawn(self._pools.get(example.asked, [])) - len(example.shown)
            for example in examples
        )

    def _drawn(self, pool: Sequence[Example]) -> int:
        return min(self._most_shown, len(pool))


def label_quotas(count: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide a number among labels by the method of largest remainders; the first wins a tie.

    The weights may be empty, but not all of them 0.
    """
    total = sum(weights.values())
    quotas = {label: count * weight // total for label, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda label: -(count * weights[label] % total))
    for label in by_remainder[: count - sum(quotas.values())]:
        quotas[label] += 1
    return quotas


def _spread(quotas: Mapping[str, int]) -> list[str]:
    """Order the labels so that every part of the order has each in proportion to its quota."""
    places = [
        ((2 * turn + 1) / (2 * quota), rank, label)
        for rank, (label, quota) in enumerate(quotas.items())
        for turn in range(quota)
    ]
    return [label for _, _, label in sorted(places)]


@dataclass(frozen=True)
class InputWriter:
    """Has the teacher write new inputs."""

    run: Run
    config: SynthesisConfig
    engine: Engine
    requests: Requests
    form: Form

    def write(self, numbers: Sequence[int]) -> list[SyntheticExample]:
        """Write the inputs of these numbers; they have no outputs yet."""
        completions = self.engine.write(
            [self.requests.prompt(number) for number in numbers],
            [seed_for(self.run.seed, "generate", str(number)) for number in numbers],
            temperature=self.config.generate_temperature,
            top_p=self.config.generate_top_p,
            max_new_tokens=self.config.max_new_tokens,
            stops=self.form.stops,
        )
        return [
            self.read(completion, number)
            for completion, number in zip(completions, numbers, strict=True)
        ]

    def read(self, completion: Completion, number: int) -> SyntheticExample:
        """Parse a written input; one that cannot be used is marked with its problem."""
        shown = self.requests.demonstrations(number)[: completion.solved]
        ids = tuple(example.id for example in shown)
        example = parse_input(self.run.task, completion.text, self.form)
        if example is not None and completion.finished:
            return SyntheticExample(
                id=example.id,
                text=example.text,
                text_pair=example.text_pair,
                source="generated",
                asked=self.requests.label(number),
                shown=ids,
            )
        problem = "not an input" if completion.finished else "unfinished"
        return self.unusable(number, completion.text, problem, ids)

    def unusable(
        self, number: int, text: str, problem: str, shown: tuple[str, ...] = ()
    ) -> SyntheticExample:
        """Return the example of a text that cannot be used."""
        return SyntheticExample(
            id=digest("unusable", number),
            text=text,
            source="generated",
            asked=self.requests.label(number),
            shown=shown,
            problem=problem,
        )


class Novelty:
    """Watches one stream of generated examples.

    An input is new when it is neither equal to an earlier new input of its stream nor a near
    duplicate of one. A text that could not be parsed as an input does not count.

    Args:
        least: The stream is spent when less than this fraction of its last
            :data:`NOVELTY_WINDOW` inputs are new; 0: it never is.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._index = NearIndex(ALIKE)
        self._new: deque[bool] = deque(maxlen=NOVELTY_WINDOW)

    def is_spent_by(self, example: SyntheticExample) -> bool:
        """Add the stream's next example; return whether the stream should end with it."""
        if not self._least or example.id != content_id(example.text, example.text_pair):
            return False
        self._new.append(self._index.add(example) is None)
        return len(self._new) == NOVELTY_WINDOW and sum(self._new) < self._least * NOVELTY_WINDOW
