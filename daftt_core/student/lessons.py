"""Lessons: what an arm's students learn from, how much each example counts, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from daftt_core.config import StudentConfig
from daftt_core.errors import ConfigError, DataError, did_you_mean
from daftt_core.modeling import Template
from daftt_core.records import Example, SyntheticExample, read_jsonl
from daftt_core.stages import ARMS, CURATED, DATA, Source
from daftt_core.student.encoding import Reading, encode
from daftt_core.tasks import Task
from daftt_core.telemetry import log
from daftt_core.workspace import Run, read_examples, read_stage

WEIGHT, DISTRIBUTION = "weight", "distribution"
"""Columns that are no inputs of a model; absent where all examples count the same, or by label."""

_by_length: Any = get_length_grouped_indices  # comes without types


@dataclass(frozen=True)
class ArmExamples:
    """The examples of an arm.

    Attributes:
        examples: Real ones first, then the others, each in its file's order.
        counts: Number of examples by source; every source is named.
    """

    examples: tuple[Example, ...]
    counts: dict[str, int]


def read_arm(run: Run, arm: str, data_digest: str, curated_digest: str = "") -> ArmExamples:
    """Collect an arm's examples from the stages ``data`` and ``curated`` of these digests.

    Arms without synthetic data do not need the latter.

    Raises:
        ConfigError: There is no such arm.
        DataError: One of the arm's sources holds no example.
        StorageError: A stage is missing or was rebuilt.
    """
    if arm not in ARMS:
        raise ConfigError(
            f"arm: there is no arm {arm!r}{did_you_mean(arm, ARMS)} (known: {', '.join(ARMS)})"
        )
    by_source: dict[str, Sequence[Example]] = {
        source: [] for source in ("real", "annotated", "generated", "gold")
    }
    for source in ARMS[arm]:
        by_source[source] = _read_source(run, source, data_digest, curated_digest)
        if not by_source[source]:
            raise DataError(
                f"arm {arm!r}: there are no {source} examples to learn from; see what curation "
                "rejected and why, or leave the arm out"
            )
    examples = tuple(example for examples in by_source.values() for example in examples)
    return ArmExamples(examples, {source: len(part) for source, part in by_source.items()})


def _read_source(
    run: Run, source: Source, data_digest: str, curated_digest: str
) -> Sequence[Example]:
    if source == "real":
        return read_examples(run, DATA, data_digest, "labelled")
    if source == "gold":
        return read_examples(run, DATA, data_digest, "gold")
    if not curated_digest:
        raise ConfigError(
            f"{source} examples: the digest of the stage {CURATED.name!r} is not given"
        )
    folder, _ = read_stage(run, CURATED, curated_digest)
    return read_jsonl(folder / f"{source}.jsonl", SyntheticExample)


@dataclass(frozen=True)
class Lesson:
    """What the students of an arm learn from, prepared once for all of them.

    Attributes:
        reading: How their model takes examples in.
        dataset: Real examples first, with :data:`WEIGHT` (mean 1) and :data:`DISTRIBUTION` (a
            probability for each label), each only where it changes something.
        real: Number of real ones.
        dev: What their loss is measured on while they learn; None where it is not.
        truncated: Number of ``inputs`` and of ``outputs`` that were cut.
        ahead: Whether its students start from those of the labels alone.
    """

    reading: Reading
    dataset: Dataset
    real: int
    dev: Dataset | None
    truncated: dict[str, int]
    ahead: bool = False

    def steps(self, config: StudentConfig) -> int:
        """Return the number of optimizer steps of one student."""
        return config.steps(self.real, len(self.dataset) - self.real, ahead=self.ahead)

    @classmethod
    def of(
        cls,
        task: Task,
        config: StudentConfig,
        arm: str,
        template: Template,
        collected: ArmExamples,
        dev: Sequence[Example],
        *,
        ahead: bool = False,
    ) -> Lesson:
        """Tokenize an arm's examples, with warnings about those that were cut.

        Raises:
            DataError: An output is unknown or not a label of the task.
            ModelError: The model cannot take in inputs and outputs of the configured lengths.
        """
        tokenizer, examples = template.tokenizer, collected.examples
        reading = Reading.of(
            task, template.model, tokenizer, config.max_length, config.max_target_length
        )
        encoded = encode(tokenizer, reading, examples, outputs=True)
        limits = {"inputs": reading.max_length, "outputs": reading.max_target_length}
        for side, count in encoded.truncated.items():
            if count:
                log.warning(
                    "arm %s: %d of %d %s were cut to %d tokens",
                    *(arm, count, len(examples), side, limits[side]),
                )
        multiline = 0
        if not task.is_classification:
            multiline = sum("\n" in (example.output or "") for example in examples)
        if multiline and "\n" not in tokenizer.decode(tokenizer("a\nb").input_ids):
            log.warning(
                "arm %s: %d of %d outputs have several lines, and the student will write them in "
                "one: the tokenizer of student_model %s has no line break",
                *(arm, multiline, len(examples), config.model),
            )
        real = collected.counts["real"]
        dataset = encoded.dataset
        weights = example_weights(config, examples, real)
        if any(weight != weights[0] for weight in weights):
            dataset = dataset.add_column(WEIGHT, weights)
        if config.soft_labels and task.is_classification and real < len(examples):
            distributions = [_distribution(task, example) for example in examples]
            dataset = dataset.add_column(DISTRIBUTION, distributions)
        measured = None
        if config.patience:
            measured = encode(tokenizer, reading, dev, outputs=True).dataset
        return cls(reading, dataset, real, measured, encoded.truncated, ahead)


def example_weights(config: StudentConfig, examples: Sequence[Example], real: int) -> list[float]:
    """Return how much each example counts; 1 on average.

    With ``class``, an example of a label (or of a set of labels) counts inversely to the number of
    examples that have it, as scikit-learn's ``class_weight="balanced"``. The first ``real``
    examples are the real ones.
    """
    counts = Counter(example.output for example in examples)
    weights = []
    for index, example in enumerate(examples):
        weight = config.real_weight if index < real else 1.0
        if config.example_weights == "class":
            weight /= counts[example.output]
        elif config.example_weights == "confidence" and isinstance(example, SyntheticExample):
            weight *= example.confidence
        weights.append(weight)
    mean = sum(weights) / len(weights)
    return [weight / mean for weight in weights]


def _distribution(task: Task, example: Example) -> list[float]:
    known = example.distribution if isinstance(example, SyntheticExample) else {}
    known = known or dict.fromkeys(task.labels_of(str(example.output)), 1.0)
    return [known.get(label, 0.0) for label in task.label_names]


class InTurn(Sampler[int]):
    """One part of the examples after the other, each shuffled in batches of similar length.

    Args:
        lengths: Tokens of each example.
        parts: The examples of each part, and the number of batches to make of them.
        batch_size: Examples in a batch.
        seed: Seed of the order.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        parts: Sequence[tuple[range, int]],
        batch_size: int,
        seed: int,
    ) -> None:
        self._lengths, self._batch_size, self._seed = lengths, batch_size, seed
        self._parts = [(part, batches * batch_size) for part, batches in parts]

    def __len__(self) -> int:
        return sum(count for _, count in self._parts)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        for part, count in self._parts:
            lengths = [self._lengths[index] for index in part]
            order: list[int] = []
            while len(order) < count:
                order += _by_length(lengths, self._batch_size, generator=generator)
            yield from (part[index] for index in order[:count])
