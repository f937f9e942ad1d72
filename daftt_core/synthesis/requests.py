"""What each new example is asked for: its label, and the real examples that its prompt shows.

Both depend on the example's number and the run's seed alone: sharding and interruptions change
neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from daftt_core.config import SynthesisConfig
from daftt_core.records import Example, SyntheticExample, seed_for
from daftt_core.tasks import Prompt, writing_prompt
from daftt_core.workspace import Run

__all__ = ["Requests", "label_quotas"]


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
