"""How long a run takes on a machine whose pace has been measured.

A stage's time is its tokens times the seconds that the machine takes for one. Where iterations of a
loop run side by side, each has its part of the machine. Libraries have to be loaded, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from daftt_core.config import Config
from daftt_core.config.training import CONTRASTIVE, CURVE_EXAMPLES
from daftt_core.planning.settings import checkpoint_bytes
from daftt_core.planning.shapes import FLOAT32, ModelShape
from daftt_core.planning.work import Lengths, Work
from daftt_core.stages import (
    ASSESSMENT,
    PREDICTIONS,
    STUDENTS,
    TEACHER,
    augmented_arms,
)
from daftt_core.telemetry import LOCAL_LOOP_WIDTH

if TYPE_CHECKING:
    from daftt_core.tasks import Task

_FORWARD_SHARE = 1 / 3
"""Of a training step: the backward pass has twice the products (arXiv 2001.08361, section 2.1)."""
_PROCESSES_ALONE = 7
"""Preparation, students of the labels alone, teacher, assessment, curation, evaluation, summary."""


@dataclass(frozen=True)
class Pace:
    """What a machine takes, in seconds; all its cores work together on each token.

    Attributes:
        cores: Its cores.
        bfloat16: Whether the teacher's training computes in bfloat16.
        start: Seconds until a process has loaded its libraries.
        training: Seconds a token in the teacher's training.
        scoring: The same where the teacher scores labels.
        writing: The same where it writes texts, of the prompt's tokens and the written ones.
        learning: The same in the students' training.
        contrasting: The same in their training by contrast.
        answering: The same in their answers.
        storing: Seconds a byte of a model that is written and committed.
    """

    cores: int
    bfloat16: bool
    start: float
    training: float
    scoring: float
    writing: float
    learning: float
    contrasting: float
    answering: float
    storing: float


def typical_pace(teacher: ModelShape, student: ModelShape) -> Pace:
    """Return a pace that only its proportions make useful: nothing is measured on this machine.

    Its figures are picoseconds for a token and a parameter of the model's products: what stages of
    the demo recorded on two cores of an Intel Xeon with AMX, divided by the tokens planned for
    them. The students still computed the layer of mean pooling then; a seventh, its share of the
    layers, is taken off. Storing is what :mod:`daftt_core.rehearsal` measured there.

    Args:
        teacher: The teacher's shape.
        student: The student's shape.
    """
    asked, studied = 1e-12 * teacher.products, 1e-12 * student.products
    return Pace(
        cores=2,
        bfloat16=True,
        start=0.0,
        training=25 * asked,
        scoring=8 * asked,
        writing=22 * asked,
        learning=22 * studied,
        contrasting=38 * studied,
        answering=10 * studied,
        storing=5e-9,
    )


@dataclass(frozen=True)
class StageTime:
    """One stage that runs a model.

    Attributes:
        name: Its name.
        processes: Shards that it falls into.
        tokens: Tokens that models read or write in all of them.
        seconds: Time that each process takes, without its start.
        unit: Seconds of one of the units that its progress counts first: a step of a training, an
            example, an answer.
    """

    name: str
    processes: int
    tokens: int
    seconds: float
    unit: float


@dataclass(frozen=True)
class TimePlan:
    """A run on a machine.

    Attributes:
        stages: The stages that run a model, in order.
        starts: Processes that load libraries.
        seconds_of_stages: Time of all processes, as if they ran one after another.
        seconds: Time on the clock, what runs side by side counted once.
    """

    stages: tuple[StageTime, ...]
    starts: int
    seconds_of_stages: float
    seconds: float


def extend(measured: Sequence[tuple[int, float]], size: int) -> float:
    """Return the time of a whole from that of the same with less in it.

    Of a model the size is the number of parameters in its matrix products: what does not grow with
    the layers (the output layer, the embedding's update) is in both measurements, and so is no part
    of their difference.

    Args:
        measured: Size and seconds: of the whole, or of two parts with the smaller first.
        size: Of the whole.
    """
    known, seconds = measured[-1]
    if known == size:
        return seconds
    fewer, sooner = measured[0]
    return seconds + max(0.0, seconds - sooner) / (known - fewer) * (size - known)


def side_by_side(seconds: Iterable[float], width: int = LOCAL_LOOP_WIDTH) -> float:
    """Return when the last of a loop's iterations ends, where so many run at a time."""
    ends = [0.0] * width
    for each in seconds:
        free = ends.index(min(ends))
        ends[free] += each
    return max(ends)


def plan_times(
    config: Config,
    task: Task,
    teacher: ModelShape,
    student: ModelShape,
    baseline: Sequence[str],
    lengths: Lengths,
    pace: Pace,
    *,
    copies: bool,
) -> TimePlan:
    """Return how long a run will take.

    Args:
        config: Its settings; they or the task say how many labelled examples there are.
        task: Its task.
        teacher: The teacher's shape.
        student: The student's shape.
        baseline: The arms without synthetic examples.
        lengths: Mean lengths of its examples.
        pace: The machine's.
        copies: Whether stages begin as copies of one process that has loaded the libraries.
    """
    work = Work(config, task, student)
    times = _Times(config, task, teacher, student, work, lengths, pace)
    augmented = augmented_arms(config.synthesis.mode)
    alone = [times.students(arm, share=1) for arm in baseline]
    if config.teacher.epochs:
        alone.append(times.teacher())
    alone.append(times.assessment())
    predictions = times.predictions([*baseline, *augmented])
    loops = [
        list(times.synthesis()),
        [times.students(arm, share=LOCAL_LOOP_WIDTH) for arm in augmented],
    ]
    iterations = [[each.seconds for each in loop for _ in range(each.processes)] for loop in loops]
    clock = sum(stage.seconds for stage in (*alone, predictions))
    clock += pace.start if copies else _PROCESSES_ALONE * pace.start
    for loop in iterations:
        clock += side_by_side(seconds + (0.0 if copies else pace.start) for seconds in loop)
    stages = (*alone, *loops[0], *loops[1], predictions)
    starts = 1 if copies else _PROCESSES_ALONE + sum(map(len, iterations))
    worked = sum(stage.processes * stage.seconds for stage in stages)
    return TimePlan(stages, starts, worked + starts * pace.start, clock)


@dataclass(frozen=True)
class _Times:
    """Works out one stage after the other; ``share`` says how many share the machine with it."""

    config: Config
    task: Task
    teacher_shape: ModelShape
    student_shape: ModelShape
    work: Work
    lengths: Lengths
    pace: Pace

    def teacher(self) -> StageTime:
        """Return the time of the teacher's training, its looks at dev, and what it stores.

        That is checkpoints, at best better weights after each epoch, and the model in the end.
        """
        config, work = self.config, self.work
        epochs = config.teacher.epochs
        learned = epochs * (
            work.taught * self.lengths.taught + work.mixed_in * config.teacher.max_length
        )
        watched = min(config.data.dev_count, CURVE_EXAMPLES) * work.questions
        seen = epochs * watched * self.lengths.taught
        steps = epochs * ceil((work.taught + work.mixed_in) / config.teacher.batch_size)
        checkpoint, best = checkpoint_bytes(self.teacher_shape, config.teacher)
        stored = steps // config.teacher.checkpoint_steps * checkpoint
        stored += epochs * best + FLOAT32 * self.teacher_shape.parameters
        seconds = self.pace.training * (learned + _FORWARD_SHARE * seen)
        seconds += self.pace.storing * stored
        return StageTime(TEACHER.name, 1, learned + seen, seconds, seconds / steps)

    def assessment(self) -> StageTime:
        """Return the time of the answers to dev, before the fine-tuning and after it."""
        models = 2
        dev = self.config.data.dev_count
        prompts = models * dev * self.work.questions + self.work.channel_reads(dev)
        tokens = prompts * self.lengths.queried
        seconds = tokens * self._querying
        return StageTime(ASSESSMENT.name, 1, tokens, seconds, seconds / models)

    def synthesis(self) -> Iterable[StageTime]:
        """Yield the times of annotation and generation, each in shards."""
        config = self.config.synthesis
        inputs = self.config.data.unlabelled_count
        if config.mode != "generate" and inputs:
            yield self._shards("annotation", inputs, *self._given(inputs))
        if config.mode != "annotate":
            count = config.generate_count
            tokens, seconds = self._given(count)
            written = count * self.lengths.queried
            seconds += written * self.pace.writing
            yield self._shards("generation", count, tokens + written, seconds)

    def students(self, arm: str, *, share: int) -> StageTime:
        """Return the time of an arm's training and of its answers to dev."""
        length = self.lengths.learned
        learned = self.work.learned(arm) * length
        contrasted = self.work.contrasted(arm) * length
        answered = self.work.answered(arm) * length
        stored = self.work.students(arm) * FLOAT32 * self.student_shape.parameters
        seconds = learned * self.pace.learning + contrasted * self.pace.contrasting
        seconds += answered * self.pace.answering + stored * self.pace.storing
        tokens = learned + contrasted + answered
        way, inputs = self.work.first_batch(arm)
        pace = self.pace.contrasting if way == CONTRASTIVE else self.pace.learning
        unit = share * inputs * length * pace
        return StageTime(STUDENTS.part(arm).name, 1, tokens, share * seconds, unit)

    def predictions(self, arms: Sequence[str]) -> StageTime:
        """Return the time of the answers to test."""
        answers = len(arms) * self.config.student.seeds * self.config.data.test_count
        unit = self.lengths.learned * self.pace.answering
        return StageTime(PREDICTIONS.name, 1, answers * self.lengths.learned, answers * unit, unit)

    @property
    def _querying(self) -> float:
        return self.pace.scoring if self.task.is_classification else self.pace.writing

    def _given(self, inputs: int) -> tuple[int, float]:
        """Return tokens and seconds of the teacher's outputs, and of what others say of them."""
        asked = self.work.outputs(inputs) + self.work.channel_reads(inputs)
        tokens = asked * self.lengths.queried
        judged = inputs * self.work.others() * self.lengths.learned
        seconds = tokens * self._querying + judged * self.pace.answering
        return tokens + judged, seconds

    def _shards(self, name: str, examples: int, tokens: int, seconds: float) -> StageTime:
        shards = self.config.synthesis.shards
        seconds *= LOCAL_LOOP_WIDTH
        return StageTime(name, shards, tokens, seconds / shards, seconds / max(examples, 1))
