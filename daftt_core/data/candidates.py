"""Which tasks may go into a mixture, and which of their instances.

N tasks are drawn at random by their names; one task at a time is read, so that the size of the
collection does not matter. What was made from the target's own data stays out: by rule (the names
and sources that task and settings exclude) and by looking (instances that hold a text of the
target).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from daftt_core.config import MixtureConfig
from daftt_core.data.sni import SniInstance, SniTask
from daftt_core.data.task_sources import open_source
from daftt_core.records import Heldout, content_id, seed_for, words_of
from daftt_core.stages import DATA
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run, read_examples, read_stage

_LOOKED_AT = 1000
"""Instances of a task that are looked at for overlap: enough to see where its data comes from."""
_SAME_SOURCE_SHARE, _SAME_SOURCE_COUNT = 0.02, 3
"""From so many overlapping instances on, a task counts as made from the target's data.

Dev, test and the other examples of the target are the larger part of a data set, or some percent
of a very large one; chance brings single hits, such as a proverb or a greeting.
"""


class MixtureExample(BaseModel):
    """An instance to learn from.

    Attributes:
        id: :func:`~daftt_core.records.examples.content_id` of the input.
        task: Name of its task.
        text: The input; lines matter, other white space does not.
        output: One right output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    task: str
    text: str
    output: str


class MixtureTask(BaseModel):
    """A task that went into the mixture.

    Attributes:
        name: The task.
        definition: Its instruction.
        positive_examples: Inputs and outputs to show before an instance.
        source: The data sets it was made from.
        license: License of its instances, ``unknown`` where its file names none.
        size: Instances it has.
        overlapping: Of those looked at, how many hold a text of the target and were left out.
        examples: Instances taken.
        sha256: Of its file, or of its rows in a data set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    definition: str
    positive_examples: tuple[tuple[str, str], ...]
    source: str
    license: str
    size: int
    overlapping: int
    examples: int
    sha256: str


@dataclass(frozen=True)
class Candidate:
    """A task that may go in, with the instances that are free to be taken, the first ones first."""

    task: MixtureTask
    instances: list[MixtureExample]


@dataclass(frozen=True)
class Choice:
    """What was found.

    Attributes:
        candidates: The tasks that may go in.
        excluded: Why others stay out, by their names.
        digests: SHA-256 of every task that was read, by its name.
    """

    candidates: list[Candidate]
    excluded: dict[str, str]
    digests: dict[str, str]


class Target:
    """Recognizes the target's own texts.

    Dev and test are known by their fingerprints only, and a run of words is enough. The inputs to
    learn from and to annotate are compared whole: their true outputs must not come in this way.
    """

    def __init__(self, run: Run, data: str, words: int) -> None:
        folder, _ = read_stage(run, DATA, data)
        self._heldout = Heldout.load(folder / "heldout.json", words)
        labelled = read_examples(run, DATA, data, "labelled")
        self.size = len(labelled)
        self._own: set[str] = set()
        for example in [*labelled, *read_examples(run, DATA, data, "unlabelled")]:
            texts = [example.text] + ([example.text_pair] if example.text_pair else [])
            self._own |= {example.id, *map(content_id, texts)}

    def is_in(self, *texts: str) -> bool:
        """Whether any of the texts is or holds one of the target's."""
        parts = {part for text in texts for part in _parts(text)}
        return any(self._is_known(*part) for part in parts)

    def _is_known(self, text: str, text_pair: str | None = None) -> bool:
        known = content_id(text, text_pair) in self._own
        return known or self._heldout.collides(text, text_pair) is not None


def _parts(text: str) -> Iterator[tuple[str, str | None]]:
    """A text, its lines with and without a name before them, and each two lines that follow."""
    yield text, None
    lines = [line for line in text.splitlines() if line.strip()]
    bare = [line.partition(": ")[2] or line for line in lines]
    for line, rest in zip(lines, bare, strict=True):
        yield line, None
        yield rest, None
    yield from itertools.pairwise(bare)


class _Rules:
    """Which tasks stay out whatever they hold."""

    def __init__(self, run: Run, config: MixtureConfig) -> None:
        named = [*config.exclude.split(","), *run.task.mixture_exclude, run.task.source or ""]
        self._excluded = {
            " ".join(words_of(name)): name.strip() for name in named if words_of(name)
        }
        self._languages = {name.strip().casefold() for name in config.languages.split(",")} - {""}

    def on_name(self, name: str) -> str | None:
        """Why a task of this name stays out, or None."""
        return self._named([name])

    def on_task(self, task: SniTask) -> str | None:
        """Why this task stays out, or None."""
        other = [name for name in task.languages if name.casefold() not in self._languages]
        if self._languages and other:
            return f"its language is {other[0]}"
        return self._named([*task.source, *task.url])

    def _named(self, texts: Iterable[str]) -> str | None:
        for text in texts:
            words = f" {' '.join(words_of(text))} "
            for excluded, name in self._excluded.items():
                if f" {excluded} " in words:
                    return f"excluded by {name!r}"
        return None


def choose(run: Run, config: MixtureConfig, target: Target) -> Choice:
    """Draw tasks and read them one by one until there are enough.

    Args:
        run: The run; its seed decides.
        config: Where the tasks are, how many are wanted, and which ones stay out.
        target: The target's own texts.

    Raises:
        DataError: The source does not exist, or a task in it cannot be used.
        StorageError: The source cannot be reached.
    """
    source, rules = open_source(config.source), _Rules(run, config)
    choice = Choice([], {}, {})
    progress = Progress("choose the mixture", config.tasks, "tasks")
    for name in sorted(source.names(), key=lambda name: seed_for(run.seed, "mixture task", name)):
        if len(choice.candidates) == config.tasks:
            break
        reason = rules.on_name(name)
        if reason is None:
            task, choice.digests[name] = source.read(name)
            reason = rules.on_task(task)
        if reason is None:
            found = _look_over(run, config, target, name, task, choice.digests[name])
            if isinstance(found, Candidate):
                choice.candidates.append(found)
                progress.advance()
                continue
            reason = found
        choice.excluded[name] = reason
        log.info("mixture: %r is left out: %s", name, reason)
    return choice


def _look_over(
    run: Run, config: MixtureConfig, target: Target, name: str, task: SniTask, sha256: str
) -> Candidate | str:
    """A task with the instances that may be taken from it, or why there are none."""
    known = _instances(run, name, task.instances)
    looked_at = known[: max(config.instances, _LOOKED_AT)]
    # an output may hold a text of the target as well: some tasks ask for what another one reads
    free = [one for one, outputs in looked_at if not target.is_in(one.text, *outputs)]
    overlapping = len(looked_at) - len(free)
    if overlapping >= max(_SAME_SOURCE_COUNT, _SAME_SOURCE_SHARE * len(looked_at)):
        return (
            f"{overlapping} of {len(looked_at)} instances hold texts of the target task, so it is "
            "made from the same data"
        )
    if not free:
        return "it has no instance that can be used"
    shown = [
        (one.text, one.output)
        for one, outputs in _instances(run, name, task.positive_examples)
        if not target.is_in(one.text, *outputs)
    ]
    described = MixtureTask(
        name=name,
        definition=task.instruction,
        positive_examples=tuple(shown[: config.positive_examples]),
        source=", ".join(task.source),
        license=", ".join(task.license) or "unknown",
        size=len(task.instances),
        overlapping=overlapping,
        examples=0,
        sha256=sha256,
    )
    return Candidate(described, free[: config.instances])


def _instances(
    run: Run, name: str, instances: Iterable[SniInstance]
) -> list[tuple[MixtureExample, list[str]]]:
    """A task's instances in the order in which they are taken, each with all of its outputs.

    Instances of the same input are one. The order in the file does not matter.
    """
    texts: dict[str, str] = {}
    outputs: dict[str, set[str]] = {}
    for instance in instances:
        text = _tidy(instance.input)
        tidied = {_tidy(output) for output in instance.output} - {""}
        if text and tidied:
            known = content_id(text)
            texts[known] = min(text, texts.get(known, text))
            outputs.setdefault(known, set()).update(tidied)
    ordered = sorted(texts, key=lambda known: (seed_for(run.seed, "mixture", name, known), known))
    found = []
    for known in ordered:
        right = sorted(outputs[known])
        output = right[seed_for(run.seed, "mixture output", name, known) % len(right)]
        found.append((MixtureExample(id=known, task=name, text=texts[known], output=output), right))
    return found


def _tidy(text: str) -> str:
    """A text whose lines are kept, and no other white space than single blanks."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
