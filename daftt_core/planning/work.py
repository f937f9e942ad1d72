"""What a run's stages have to do, in examples and in tokens; more than that nobody can know before.

What curation and the gate will reject is not known, so nothing is taken to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from daftt_core.config import Config
from daftt_core.config.training import (
    ALL,
    CONTRASTIVE,
    CONTRASTIVE_BATCH,
    DISTILLED,
    ENOUGH_DEV,
    FOLDS,
    PLAIN,
    SUREST,
    SUREST_SHARE,
)
from daftt_core.planning.architectures import POOLED
from daftt_core.planning.shapes import ModelShape
from daftt_core.records import Example
from daftt_core.stages import ARMS
from daftt_core.tasks import NO, YES, answer_prompt, answer_prompts

if TYPE_CHECKING:
    from daftt_core.tasks import Task

_BYTES_PER_TOKEN = 4
"""Bytes of English prose that a tokenizer of some ten thousand tokens turns into one, about."""
_BYTE_VOCABULARY = 1024
"""A smaller vocabulary is one of single bytes."""
_SPECIAL_TOKENS = 2  # at the two ends of a student's input


class Work:
    """Counts what stages work through, in examples.

    Args:
        config: The run's settings; they or the task say how many labelled examples there are.
        task: Its task.
        student: The student's shape.

    Attributes:
        labelled: Labelled examples.
        questions: Prompts that one input takes: a set of labels one for each label.
    """

    def __init__(self, config: Config, task: Task, student: ModelShape) -> None:
        self._config, self._task, self._student = config, task, student
        self.labelled = config.data.asked_labelled(task.labelled_count)
        self.questions = len(task.labels) if task.is_multilabel else 1

    @property
    def taught(self) -> int:
        """Return how many examples of the task the teacher learns in a pass."""
        return self.labelled * (self.questions + (self._config.teacher.directions == "both"))

    @property
    def mixed_in(self) -> int:
        """Return how many instances of other tasks it learns beside them, at most.

        They are chosen by :mod:`daftt_core.data.mixture`.
        """
        mixture = self._config.mixture
        share = round(self.taught * (1 - mixture.share) / mixture.share)
        return min(mixture.tasks * mixture.instances, share)

    def outputs(self, inputs: int) -> int:
        """Return how many outputs the teacher gives for so many inputs."""
        if self._task.is_classification:
            return inputs * self.questions
        return inputs * self._config.synthesis.samples

    def channel_reads(self, inputs: int) -> int:
        """Return how often the teacher reads one of so many inputs after a label."""
        labels, synthesis = len(self._task.labels), self._config.synthesis
        if self._task.kind != "classification" or labels > synthesis.channel_labels:
            return 0
        asked = self._config.teacher.directions == "both" or synthesis.engine == "server"
        return inputs * labels if asked else 0

    def others(self) -> int:
        """Return how many models judge inputs beside the teacher: students, and a regression."""
        if self._task.kind != "classification" or not self._config.synthesis.second_opinion:
            return 0
        return self._config.student.seeds + self._pooled

    def learned(self, arm: str) -> int:
        """Return how many inputs go into the plain training steps of all of an arm's students."""
        return sum(n * inputs for n, way, inputs in self._trainings(arm) if way != CONTRASTIVE)

    def contrasted(self, arm: str) -> int:
        """Return how many inputs go into the steps of those that are trained by contrast."""
        return sum(n * inputs for n, way, inputs in self._trainings(arm) if way == CONTRASTIVE)

    def students(self, arm: str) -> int:
        """Return how many students an arm trains, some to be left for others."""
        return sum(n for n, _, _ in self._trainings(arm))

    def answered(self, arm: str) -> int:
        """Return how many answers these students give, to dev and to what they are distilled on."""
        answers = self.students(arm) * self._config.data.dev_count
        if DISTILLED in self._ways(arm):
            answers += self._config.student.seeds * sum(self._synthetic(arm))
        return answers

    def first_batch(self, arm: str) -> tuple[str, int]:
        """Return the way of the students that an arm trains first, and the inputs in a step."""
        way = self._trainings(arm)[0][1]
        return way, self._batch(way, self.labelled)

    def _trainings(self, arm: str) -> list[tuple[int, str, int]]:
        """Return groups: how many students, their way, and the inputs in the steps of each.

        The students of the labels alone may be trained in two ways, and where dev is small also on
        parts of the labels; the others may have a first student of another recipe, and be distilled
        (:mod:`daftt_core.student.seeds`). Where dev may prefer training by contrast, it is taken to
        do so.
        """
        student = self._config.student
        ways = self._ways(arm)
        if arm == "real":
            groups = [(student.seeds, way, self._steps(way, self.labelled)) for way in ways]
            if len(ways) > 1 and self._config.data.dev_count < ENOUGH_DEV:
                part = self.labelled * (FOLDS - 1) // FOLDS
                groups += [(FOLDS, way, self._steps(way, part)) for way in ways]
            return groups
        annotated, others = self._synthetic(arm)
        ahead = student.may_start_ahead(arm) and CONTRASTIVE in self._ways("real")
        sure = round(SUREST_SHARE * annotated)
        inputs = {
            ALL: self._steps(PLAIN, self.labelled, annotated + others, ahead=ahead),
            SUREST: self._steps(PLAIN, self.labelled, sure + others, ahead=ahead),
        }
        recipe, *rivals = student.recipes(self._task.kind, annotated)
        groups = [(student.seeds, PLAIN, inputs[recipe])]
        groups += [(1, PLAIN, inputs[rival]) for rival in rivals]
        if DISTILLED in ways:
            groups.append((student.seeds, DISTILLED, inputs[ALL]))
        return groups

    def _ways(self, arm: str) -> tuple[str, ...]:
        return self._config.student.ways(arm, self._task.kind, pooled=self._pooled)

    @property
    def _pooled(self) -> bool:
        """Whether the students read the mean over an input's tokens."""
        return self._config.student.pooling == "mean" and self._student.architecture in POOLED

    def _steps(self, way: str, labelled: int, others: int = 0, *, ahead: bool = False) -> int:
        """Return the inputs in the steps of one student."""
        config = self._config.student
        steps = config.steps(labelled, others, ahead=ahead)
        if way == CONTRASTIVE:
            steps = config.contrastive_steps(labelled)
        return steps * self._batch(way, labelled)

    def _batch(self, way: str, labelled: int) -> int:
        if way == CONTRASTIVE:
            return min(CONTRASTIVE_BATCH, labelled)
        return self._config.student.batch_size

    def _synthetic(self, arm: str) -> tuple[int, int]:
        """Return how many annotated and how many other examples an arm adds to its labels."""
        config = self._config
        if arm == "gold":
            return 0, config.data.unlabelled_count
        sources = ARMS[arm]
        annotated = round(config.data.unlabelled_count * config.curation.keep_share)
        return (
            annotated if "annotated" in sources else 0,
            config.synthesis.generate_count if "generated" in sources else 0,
        )


def with_counts(config: Config, sizes: Mapping[str, int]) -> Config:
    """Return settings that ask for the numbers of examples that the split data has.

    Where it has nothing to annotate, they ask for generation alone, as the run does.

    Args:
        config: The run's settings.
        sizes: Examples by part, as the stage ``data`` gives them.
    """
    counts = {f"{name}_count": size for name, size in sizes.items()} | {"labelled_fraction": 0.0}
    update: dict[str, Any] = {"data": config.data.model_copy(update=counts)}
    if not sizes["unlabelled"] and config.synthesis.mode == "both":
        update["synthesis"] = config.synthesis.model_copy(update={"mode": "generate"})
    return config.model_copy(update=update)


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a run's examples.

    Attributes:
        beginning: Of the part that all of the teacher's prompts share.
        question: Of the rest of a prompt.
        answer: Of the answer to it, with its end mark.
        input: Of a student's input.
        target: Of the text that a student writes; 0 for labels.
    """

    beginning: int
    question: int
    answer: int
    input: int
    target: int

    @property
    def taught(self) -> int:
        """Return the tokens of an example that the teacher learns."""
        return self.beginning + self.question + self.answer

    @property
    def queried(self) -> int:
        """Return the tokens that it reads and writes for a prompt whose beginning it has read."""
        return self.question + self.answer

    @property
    def learned(self) -> int:
        """Return the tokens of an example that a student learns."""
        return self.input + self.target


def measure_lengths(
    config: Config,
    task: Task,
    teacher: ModelShape,
    student: ModelShape,
    examples: Sequence[Example],
    tokens_per_example: int | None = None,
) -> Lengths:
    """Return mean lengths, by the bytes of texts: tokenizers may not be on this machine.

    Args:
        config: The run's settings, whose limits hold.
        task: Its task.
        teacher: The teacher's shape.
        student: The student's shape.
        examples: Examples of the task, with outputs or without; none: inputs are as long as is
            allowed.
        tokens_per_example: Mean tokens of prompt and answer; wins over the examples.
    """
    limit = min(config.teacher.max_length, config.synthesis.max_length)
    prompt = answer_prompt(task, Example.of(""))
    beginning = _tokens(teacher, [prompt.prefix])
    outputs = [example.output for example in examples if example.output is not None]
    if task.is_classification:
        answers = [YES, NO] if task.is_multilabel else [label.verbalizer for label in task.labels]
        answer, target = _tokens(teacher, answers) + 1, 0
    else:
        answer = min(_tokens(teacher, outputs) + 1, config.synthesis.max_new_tokens)
        target = min(_tokens(student, outputs) + 1, config.student.max_target_length)
        if not outputs:
            answer, target = config.synthesis.max_new_tokens, config.student.max_target_length
    question, read = limit, config.student.max_length
    if tokens_per_example is not None:
        question, read = tokens_per_example - beginning - answer, tokens_per_example
    elif examples:
        prompts = [answer_prompts(task, example)[0] for example in examples]
        question = _tokens(teacher, (each.body + each.suffix for each in prompts))
        texts = (example.text + (example.text_pair or "") for example in examples)
        read = _tokens(student, texts) + _SPECIAL_TOKENS
    return Lengths(
        beginning=beginning,
        question=max(1, min(question, limit - beginning - answer)),
        answer=answer,
        input=min(read, config.student.max_length),
        target=target,
    )


def _tokens(model: ModelShape, texts: Iterable[str]) -> int:
    """Return the mean tokens of texts, at least 1."""
    lengths = [len(text.encode()) for text in texts] or [0]
    each = 1 if model.vocabulary < _BYTE_VOCABULARY else _BYTES_PER_TOKEN
    return max(1, round(fmean(lengths) / each))
