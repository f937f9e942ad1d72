"""Decides which tasks may go into a mixture, and which of their instances.

N tasks are drawn at random by their names; one task at a time is read, so that the size of the
collection does not matter. Tasks made from the target's own data stay out: by rule (the names and
sources that task and settings exclude) and by content (instances that hold a text of the target).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from daftt_core.config import MixtureConfig
from daftt_core.data.sni import SniInstance, SniTask
from daftt_core.data.task_sources import open_source
from daftt_core.records import content_id, seed_for
from daftt_core.records.fingerprints import Heldout
from daftt_core.records.words import words_of
from daftt_core.stages import DATA
from daftt_core.telemetry import Progress, log
from daftt_core.workspace import Run, read_examples, read_stage

_CHECKED = 1000
"""Instances of a task that are checked for overlap: enough to see where its data comes from."""
_SAME_SOURCE_SHARE, _SAME_SOURCE_COUNT = 0.02, 3
"""From this many overlapping instances on, a task counts as made from the target's data.

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
        overlapping: Of those checked, how many hold a text of the target and were left out.
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
    """A task that may go in, with the instances that may be taken, in order."""

    task: MixtureTask
    instances: list[MixtureExample]


@dataclass(frozen=True)
class Choice:
    """The tasks that were drawn.

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
        """Return whether any of the texts is or holds one of the target's."""
        parts = {part for text in texts for part in _parts(text)}
        return any(self._is_known(*part) for part in parts)

    def _is_known(self, text: str, text_pair: str | None = None) -> bool:
        known = content_id(text, text_pair) in self._own
        return known or self._heldout.collides(text, text_pair) is not None


def _parts(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield a text, its lines with and without a name before them, and each two adjacent lines."""
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
        names = [*config.exclude.split(","), *run.task.mixture_exclude, run.task.source or ""]
        self._excluded = {
            " ".join(words_of(name)): name.strip() for name in names if words_of(name)
        }
        self._languages = {name.strip().casefold() for name in config.languages.split(",")} - {""}

    def on_name(self, name: str) -> str | None:
        """Return why a task of this name stays out, or None."""
        return self._exclusion([name])

    def on_task(self, task: SniTask) -> str | None:
        """Return why this task stays out, or None."""
        foreign = [name for name in task.languages if name.casefold() not in self._languages]
        if self._languages and foreign:
            return f"its language is {foreign[0]}"
        return self._exclusion([*task.source, *task.url])

    def _exclusion(self, texts: Iterable[str]) -> str | None:
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
        config: Where the tasks are, how many to draw, and which ones stay out.
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
            candidate = _inspect(run, config, target, name, task, choice.digests[name])
            if isinstance(candidate, Candidate):
                choice.candidates.append(candidate)
                progress.advance()
                continue
            reason = candidate
        choice.excluded[name] = reason
        log.info("mixture: %r is left out: %s", name, reason)
    return choice


def _inspect(
    run: Run, config: MixtureConfig, target: Target, name: str, task: SniTask, sha256: str
) -> Candidate | str:
    """Return a task with the instances that may be taken from it, or why there are none."""
    checked = _instances(run, name, task.instances)[: max(config.instances, _CHECKED)]
    # an output may hold a text of the target as well: some tasks ask for what another one reads
    free = [example for example, outputs in checked if not target.is_in(example.text, *outputs)]
    overlapping = len(checked) - len(free)
    if overlapping >= max(_SAME_SOURCE_COUNT, _SAME_SOURCE_SHARE * len(checked)):
        return (
            f"{overlapping} of {len(checked)} instances hold texts of the target task, so it is "
            "made from the same data"
        )
    if not free:
        return "it has no instance that can be used"
    shown = [
        (example.text, example.output)
        for example, outputs in _instances(run, name, task.positive_examples)
        if not target.is_in(example.text, *outputs)
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
    """Return a task's instances in the order in which they are taken, each with all its outputs.

    Instances of the same input are one. The order in the file does not matter.
    """
    texts: dict[str, str] = {}
    outputs: dict[str, set[str]] = {}
    for instance in instances:
        text = _tidy(instance.input)
        tidied = {_tidy(output) for output in instance.output} - {""}
        if text and tidied:
            id_ = content_id(text)
            texts[id_] = min(text, texts.get(id_, text))
            outputs.setdefault(id_, set()).update(tidied)
    examples = []
    for id_ in sorted(texts, key=lambda id_: (seed_for(run.seed, "mixture", name, id_), id_)):
        right = sorted(outputs[id_])
        output = right[seed_for(run.seed, "mixture output", name, id_) % len(right)]
        examples.append((MixtureExample(id=id_, task=name, text=texts[id_], output=output), right))
    return examples


def _tidy(text: str) -> str:
    """Return a text whose lines are kept, with single blanks as the only other white space."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
